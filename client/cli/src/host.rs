//! Which engine: flags, environment, contexts and configuration, in docker's order.

use crate::config::Config;
use crate::failure::Failure;
use crate::session::Globals;
use client_http::{ClientError, Endpoint, TlsFiles};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where an engine is unless anybody says otherwise.
pub(crate) const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// An environment variable; empty is as good as absent.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The name of the context in use.
pub(crate) fn context_name(globals: &Globals, config: &Config) -> String {
    if let Some(name) = &globals.context {
        return name.clone();
    }
    if !globals.hosts.is_empty() || variable("DOCKER_HOST").is_some() {
        return "default".to_owned();
    }
    if let Some(name) = variable("DOCKER_CONTEXT") {
        return name;
    }
    match config.text("currentContext") {
        "" => "default".to_owned(),
        name => name.to_owned(),
    }
}

/// The endpoint of the context in use.
pub(crate) fn endpoint(globals: &Globals, config: &Config) -> Result<Endpoint, Failure> {
    let broken = |text: String| {
        Failure::Plain(format!("Failed to initialize: unable to resolve docker endpoint: {text}"))
    };
    if globals.context.is_some() && !globals.hosts.is_empty() {
        return Err(Failure::Plain(
            "conflicting options: cannot specify both --host and --context".into(),
        ));
    }
    let name = context_name(globals, config);
    let endpoint = if name == "default" {
        default_endpoint(globals, config)
    } else {
        context_endpoint(config, &name)
    };
    endpoint.map_err(|error| match error {
        Failure::Engine(error @ (ClientError::Protocol(_) | ClientError::Address(_))) => {
            broken(error.to_string())
        }
        Failure::Plain(text) => broken(text),
        other => other,
    })
}

/// The host of the default context, as text.
pub(crate) fn default_host(globals: &Globals) -> Result<String, Failure> {
    match globals.hosts.as_slice() {
        [] => Ok(variable("DOCKER_HOST").unwrap_or_else(|| DEFAULT_HOST.to_owned())),
        [host] => Ok(host.clone()),
        _ => Err(Failure::Plain("Specify only one -H".into())),
    }
}

fn default_endpoint(globals: &Globals, config: &Config) -> Result<Endpoint, Failure> {
    let host = default_host(globals)?;
    let verify = globals.tls_verify.unwrap_or_else(|| variable("DOCKER_TLS_VERIFY").is_some());
    let tls = (verify || globals.tls || variable("DOCKER_TLS").is_some()).then(|| {
        let directory =
            variable("DOCKER_CERT_PATH").map_or_else(|| config.directory.clone(), PathBuf::from);
        let file = |given: &Option<String>, name: &str| {
            let path = given.as_ref().map_or_else(|| directory.join(name), PathBuf::from);
            (given.is_some() || path.exists()).then_some(path)
        };
        TlsFiles {
            ca: file(&globals.tls_ca, "ca.pem"),
            cert: file(&globals.tls_cert, "cert.pem"),
            key: file(&globals.tls_key, "key.pem"),
            verify,
        }
    });
    Ok(Endpoint::parse(&host, tls)?)
}

/// The directory name of a context: the digest of its name.
pub(crate) fn context_digest(name: &str) -> String {
    Sha256::digest(name.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

/// The file that describes a context.
pub(crate) fn context_file(config: &Config, name: &str) -> PathBuf {
    config.directory.join("contexts/meta").join(context_digest(name)).join("meta.json")
}

/// Reads the file that describes a context.
pub(crate) fn context_meta(config: &Config, name: &str) -> Result<Value, Failure> {
    let path = context_file(config, name);
    let bytes = std::fs::read(&path).map_err(|error| {
        let cause = crate::failure::io_text(&error);
        Failure::Plain(format!(
            "context \"{name}\": context not found: open {}: {cause}",
            path.display()
        ))
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::Plain(format!("context \"{name}\": parse {}: {error}", path.display()))
    })
}

fn context_endpoint(config: &Config, name: &str) -> Result<Endpoint, Failure> {
    let meta = context_meta(config, name)?;
    let docker = &meta["Endpoints"]["docker"];
    let host = docker["Host"].as_str().filter(|host| !host.is_empty()).unwrap_or(DEFAULT_HOST);
    let directory = config.directory.join("contexts/tls").join(context_digest(name)).join("docker");
    let tls = context_tls(&directory, docker["SkipTLSVerify"].as_bool().unwrap_or(false));
    Ok(Endpoint::parse(host, tls)?)
}

fn context_tls(directory: &Path, skip: bool) -> Option<TlsFiles> {
    let file = |name: &str| Some(directory.join(name)).filter(|path| path.exists());
    let files = TlsFiles {
        ca: file("ca.pem"),
        cert: file("cert.pem"),
        key: file("key.pem"),
        verify: !skip,
    };
    (skip || files.ca.is_some() || files.cert.is_some()).then_some(files)
}
