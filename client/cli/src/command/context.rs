//! `context`: files under `~/.docker/contexts`.

use crate::arg::{list as many, switch, value};
use crate::command::Invocation;
use crate::command::inspect::Show;
use crate::failure::{Failure, io_text};
use crate::format::listing::{self, Kind, Row};
use crate::parse::csv;
use crate::session::Session;
use crate::{config, host, output};
use clap::Arg;
use serde_json::{Map, Value, json};
use std::path::Path;

pub(crate) fn list_flags() -> Vec<Arg> {
    vec![
        value(
            "format",
            None,
            "string",
            "Format output: 'table', 'table TEMPLATE', 'json', or a Go template",
        ),
        switch("quiet", 'q', "Only show context names"),
    ]
}

pub(crate) fn inspect_flags() -> Vec<Arg> {
    vec![value("format", 'f', "string", "Format output: 'json' or a Go template")]
}

pub(crate) fn remove_flags() -> Vec<Arg> {
    vec![switch("force", 'f', "Force the removal of a context in use")]
}

pub(crate) fn create_flags() -> Vec<Arg> {
    vec![
        value("description", None, "string", "Description of the context"),
        many("docker", None, "Set the docker endpoint: host=,ca=,cert=,key=,skip-tls-verify=")
            .value_name("stringToString"),
        value("from", None, "string", "Create context from a named context"),
    ]
}

const KIND: Kind = Kind {
    go_type: "*formatter.clientContextContext",
    headers: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("DockerEndpoint", "DOCKER ENDPOINT"),
        ("Current", "CURRENT"),
        ("Error", "ERROR"),
    ],
};

/// The names of the contexts that have files, sorted.
fn names(session: &Session) -> Vec<Value> {
    let directory = session.config.directory.join("contexts/meta");
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let metas = entries.filter_map(|entry| {
        serde_json::from_slice(&std::fs::read(entry.path().join("meta.json")).ok()?).ok()
    });
    let mut metas: Vec<Value> = metas.collect();
    metas.sort_by_key(|meta| meta["Name"].as_str().unwrap_or_default().to_owned());
    metas
}

pub(crate) async fn list(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let current = host::context_name(&session.globals, &session.config);
    let default = host::default_host(&session.globals)?;
    let row = |name: &str, description: &str, endpoint: &str| -> Row {
        let is_current = name == current;
        listing::row([
            ("Name", json!(name)),
            ("Description", json!(description)),
            ("DockerEndpoint", json!(endpoint)),
            ("Current", json!(is_current)),
            ("Error", json!("")),
        ])
    };
    let mut rows = vec![row("default", "Current DOCKER_HOST based configuration", &default)];
    for meta in names(&session) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rows.push(row(
            &text(&meta["Name"]),
            &text(&meta["Metadata"]["Description"]),
            &text(&meta["Endpoints"]["docker"]["Host"]),
        ));
    }
    rows.sort_by_key(|row| row["Name"].as_str().unwrap_or_default().to_owned());
    let format = flags.text("format");
    if format.is_empty() && !flags.on("quiet") {
        for row in &mut rows {
            if row["Current"] == true {
                row["Name"] = json!(format!("{} *", row["Name"].as_str().unwrap_or_default()));
            }
        }
    }
    let columns = ["Name", "Description", "DockerEndpoint", "Error"];
    listing::print(KIND, &format, &columns, flags.on("quiet").then_some("Name"), &rows)?;
    if host::variable("DOCKER_HOST").is_some() && format.is_empty() && !flags.on("quiet") {
        output::complain(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global --context flag, or unset DOCKER_HOST environment variable.",
        );
    }
    Ok(())
}

pub(crate) async fn show(invocation: Invocation) -> Result<(), Failure> {
    Ok(output::line(host::context_name(&invocation.session.globals, &invocation.session.config))?)
}

pub(crate) async fn select(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { mut session, args, .. } = invocation;
    let name = &args[0];
    if name != "default" {
        host::context_meta(&session.config, name)?;
    }
    session.config.save_context(name)?;
    output::line(name)?;
    output::complain(format!("Current context is now \"{name}\""));
    if name != "default" && host::variable("DOCKER_HOST").is_some() {
        output::complain(format!(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use {name:?}, either set the global --context flag, or unset DOCKER_HOST environment variable."
        ));
    }
    Ok(())
}

pub(crate) async fn inspect(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let names = if args.is_empty() {
        vec![host::context_name(&session.globals, &session.config)]
    } else {
        args
    };
    let mut show = Show::new(&flags.text("format"))?;
    let mut errors = Vec::new();
    for name in &names {
        match shown(&session, name) {
            Ok(text) => {
                if let Err(text) = show.object(&text)? {
                    errors.push(text);
                    break;
                }
            }
            Err(failure) => errors.push(failure.to_string()),
        }
    }
    show.finish()?;
    Failure::unless_empty(errors)
}

/// The text is put together by hand: the order of its keys is docker's.
fn shown(session: &Session, name: &str) -> Result<String, Failure> {
    if name == "default" {
        let host = json!(host::default_host(&session.globals)?);
        return Ok(format!(
            "{{\"Name\":\"default\",\"Metadata\":{{}},\"Endpoints\":{{\"docker\":{{\"Host\":{host},\"SkipTLSVerify\":false}}}},\"TLSMaterial\":{{}},\"Storage\":{{\"MetadataPath\":\"\\u003cIN MEMORY\\u003e\",\"TLSPath\":\"\\u003cIN MEMORY\\u003e\"}}}}"
        ));
    }
    let meta = host::context_meta(&session.config, name)?;
    let folder = |kind: &str| {
        session.config.directory.join("contexts").join(kind).join(host::context_digest(name))
    };
    let mut tls = Map::new();
    let files: Vec<Value> = ["ca.pem", "cert.pem", "key.pem"]
        .into_iter()
        .filter(|file| folder("tls").join("docker").join(file).exists())
        .map(Value::from)
        .collect();
    if !files.is_empty() {
        tls.insert("docker".into(), Value::Array(files));
    }
    let endpoint = &meta["Endpoints"]["docker"];
    let host = &endpoint["Host"];
    let skip = endpoint["SkipTLSVerify"].as_bool().unwrap_or(false);
    Ok(format!(
        "{{\"Name\":{},\"Metadata\":{},\"Endpoints\":{{\"docker\":{{\"Host\":{host},\"SkipTLSVerify\":{skip}}}}},\"TLSMaterial\":{},\"Storage\":{{\"MetadataPath\":{},\"TLSPath\":{}}}}}",
        json!(name),
        meta["Metadata"],
        Value::Object(tls),
        json!(folder("meta").display().to_string()),
        json!(folder("tls").display().to_string()),
    ))
}

fn check_name(name: &str) -> Result<(), Failure> {
    if name == "default" {
        return Err(Failure::Plain("\"default\" is a reserved context name".into()));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !starts || name.len() < 2 || !name.bytes().all(fits) {
        return Err(Failure::Plain(format!(
            "context name \"{name}\" is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
        )));
    }
    Ok(())
}

pub(crate) async fn create(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let name = &args[0];
    check_name(name)?;
    if host::context_file(&session.config, name).exists() {
        return Err(Failure::Plain(format!("context \"{name}\" already exists")));
    }
    let (mut endpoint, mut files) = (json!({}), Vec::new());
    if let Some(from) = flags.text_of("from") {
        endpoint = match from {
            "default" => {
                json!({ "Host": host::default_host(&session.globals)?, "SkipTLSVerify": false })
            }
            other => host::context_meta(&session.config, other)?["Endpoints"]["docker"].clone(),
        };
    }
    let fields: Vec<String> =
        flags.all("docker").iter().flat_map(|text| csv::fields(text)).collect();
    for field in fields {
        let (key, value) = field.split_once('=').unwrap_or((&field, ""));
        match key {
            "host" => endpoint["Host"] = json!(value),
            "skip-tls-verify" => {
                endpoint["SkipTLSVerify"] = json!(crate::arg::truth(value).unwrap_or(false))
            }
            "ca" | "cert" | "key" => files.push((format!("{key}.pem"), value.to_owned())),
            _ => return Err(Failure::Plain(format!("unrecognized config key: {key}"))),
        }
    }
    if endpoint["SkipTLSVerify"].is_null() {
        endpoint["SkipTLSVerify"] = json!(false);
    }
    if endpoint["Host"].is_null() && flags.text_of("from").is_none() && !flags.given("docker") {
        return Err(Failure::Plain("docker endpoint configuration is required".into()));
    }
    client_http::Endpoint::parse(endpoint["Host"].as_str().unwrap_or(host::DEFAULT_HOST), None)
        .map_err(|error| {
            Failure::Plain(format!("unable to create docker endpoint config: {error}"))
        })?;
    let mut metadata = Map::new();
    if let Some(description) = flags.text_of("description") {
        metadata.insert("Description".into(), json!(description));
    }
    let meta = json!({ "Name": name, "Metadata": metadata, "Endpoints": { "docker": endpoint } });
    let path = host::context_file(&session.config, name);
    folder(path.parent())?;
    for (file, source) in files {
        let directory = session
            .config
            .directory
            .join("contexts/tls")
            .join(host::context_digest(name))
            .join("docker");
        folder(Some(&directory))?;
        let bytes = std::fs::read(&source)
            .map_err(|error| Failure::Plain(format!("open {source}: {}", io_text(&error))))?;
        config::replace(&directory.join(file), &bytes)?;
    }
    config::replace(&path, meta.to_string().as_bytes())?;
    output::line(name)?;
    output::complain(format!("Successfully created context \"{name}\""));
    Ok(())
}

fn folder(path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    std::fs::create_dir_all(path)
        .map_err(|error| Failure::Plain(format!("create {}: {}", path.display(), io_text(&error))))
}

pub(crate) async fn remove(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { mut session, flags, args } = invocation;
    let current = session.config.text("currentContext").to_owned();
    let mut errors = Vec::new();
    for name in &args {
        match remove_one(&mut session, name, *name == current, flags.on("force")) {
            Ok(()) => output::line(name)?,
            Err(failure) => errors.push(failure.to_string()),
        }
    }
    Failure::unless_empty(errors)
}

fn remove_one(
    session: &mut Session,
    name: &str,
    current: bool,
    force: bool,
) -> Result<(), Failure> {
    if name == "default" {
        return Err(Failure::Plain("context \"default\" cannot be removed".into()));
    }
    let path = host::context_file(&session.config, name);
    if !path.exists() && !force {
        host::context_meta(&session.config, name)?;
    }
    if current {
        if !force {
            return Err(Failure::Plain(format!(
                "context \"{name}\" is in use, set -f flag to force remove"
            )));
        }
        session.config.save_context("default")?;
    }
    for kind in ["meta", "tls"] {
        let directory =
            session.config.directory.join("contexts").join(kind).join(host::context_digest(name));
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::Plain(format!(
                    "remove {}: {}",
                    directory.display(),
                    io_text(&error)
                )));
            }
            _ => {}
        }
    }
    Ok(())
}
