//! Credentials for registries: in `config.json`, or with a `docker-credential-NAME` program.

use crate::config::Config;
use crate::failure::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The key under which credentials for the registry of names without one are kept.
pub(crate) const DEFAULT_SERVER: &str = "https://index.docker.io/v1/";

/// What a registry is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
    /// Stands in for the password where a registry gave one; empty if not.
    pub(crate) identity_token: String,
}

impl Credentials {
    /// As the API takes it, for a server.
    pub(crate) fn body(&self, server: &str) -> Value {
        let mut body = Map::new();
        for (name, value) in [
            ("username", &self.user),
            ("password", &self.password),
            ("identitytoken", &self.identity_token),
        ] {
            if !value.is_empty() {
                body.insert(name.into(), Value::from(value.as_str()));
            }
        }
        body.insert("serveraddress".into(), Value::from(server));
        Value::Object(body)
    }
}

/// The key of a registry's credentials.
pub(crate) fn server(registry: &str) -> &str {
    if matches!(registry, "docker.io" | "index.docker.io") { DEFAULT_SERVER } else { registry }
}

/// The host in an address that may have a scheme and a path.
pub(crate) fn host_of(address: &str) -> &str {
    let bare = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    bare.split_once('/').map_or(bare, |(host, _)| host)
}

/// The header by which the engine logs in for us; `{}` without credentials.
pub(crate) fn header(config: &Config, registry: &str) -> String {
    let server = server(registry);
    let body = of(config, server).map_or_else(|| json!({}), |known| known.body(server));
    URL_SAFE.encode(body.to_string())
}

/// What is known for a server.
pub(crate) fn of(config: &Config, server: &str) -> Option<Credentials> {
    let helper = config.credential_helper(server);
    if !helper.is_empty() {
        return from_helper(helper, server).ok();
    }
    let entry = config.auth(server).or_else(|| {
        let (_, entry) = config.auths().find(|(key, _)| host_of(key) == host_of(server))?;
        Some(entry)
    })?;
    let decoded = STANDARD.decode(entry["auth"].as_str().unwrap_or_default()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':').unwrap_or_default();
    let identity_token = entry["identitytoken"].as_str().unwrap_or_default().to_owned();
    if user.is_empty() && identity_token.is_empty() {
        return None;
    }
    let password = password.trim_end_matches('\0').to_owned();
    Some(Credentials { user: user.to_owned(), password, identity_token })
}

/// Keeps credentials. True when they are in the file for everybody to read who can read it.
pub(crate) fn store(
    config: &mut Config,
    server: &str,
    known: &Credentials,
) -> Result<bool, Failure> {
    let helper = config.credential_helper(server).to_owned();
    if helper.is_empty() {
        let mut entry = Map::new();
        let pair = format!("{}:{}", known.user, known.password);
        entry.insert("auth".into(), Value::from(STANDARD.encode(pair)));
        if !known.identity_token.is_empty() {
            entry.insert("identitytoken".into(), Value::from(known.identity_token.as_str()));
        }
        config.save_auth(server, Some(Value::Object(entry)))?;
        return Ok(known.identity_token.is_empty());
    }
    let (user, secret) = match known.identity_token.as_str() {
        "" => (known.user.as_str(), known.password.as_str()),
        token => ("<token>", token),
    };
    let given = json!({ "ServerURL": server, "Username": user, "Secret": secret });
    ask(&helper, "store", &given.to_string())?;
    // An empty entry, so that the server is known to have credentials.
    config.save_auth(server, Some(json!({})))?;
    Ok(false)
}

/// Forgets what is known for a server.
pub(crate) fn erase(config: &mut Config, server: &str) -> Result<(), Failure> {
    let helper = config.credential_helper(server).to_owned();
    if !helper.is_empty() {
        ask(&helper, "erase", server)?;
    }
    config.save_auth(server, None)
}

fn from_helper(helper: &str, server: &str) -> Result<Credentials, Failure> {
    let reply: Value = serde_json::from_slice(&ask(helper, "get", server)?)?;
    let text = |name: &str| reply[name].as_str().unwrap_or_default().to_owned();
    Ok(match text("Username").as_str() {
        "<token>" => Credentials { identity_token: text("Secret"), ..Credentials::default() },
        user => Credentials {
            user: user.to_owned(),
            password: text("Secret"),
            ..Credentials::default()
        },
    })
}

/// Runs `docker-credential-HELPER VERB` with a text on its standard input.
fn ask(helper: &str, verb: &str, input: &str) -> Result<Vec<u8>, Failure> {
    let program = format!("docker-credential-{helper}");
    let failed =
        |cause: String| Failure::Plain(format!("error {verb} credentials with {program}: {cause}"));
    if helper.contains('/') {
        return Err(failed("a credential helper is a name, not a path".into()));
    }
    let mut child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(crate::failure::io_text(&error)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input says what is wrong by its status.
        drop(stdin.write_all(input.as_bytes()));
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(failed(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> (tempfile::TempDir, Config) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("config.json"), text).unwrap();
        let config = Config::read(directory.path().to_owned());
        (directory, config)
    }

    #[test]
    fn credentials_that_are_kept_are_found_again_and_the_rest_of_the_file_stays() {
        let (directory, mut config) =
            config(r#"{"psFormat":"x","auths":{"other":{"auth":"YTpi"}}}"#);
        let known = Credentials { user: "u".into(), password: "p:w".into(), ..Default::default() };
        assert!(store(&mut config, "reg:5000", &known).unwrap());
        let again = Config::read(directory.path().to_owned());
        assert_eq!(of(&again, "reg:5000"), Some(known));
        assert_eq!(of(&again, "other").unwrap().user, "a");
        assert_eq!(again.text("psFormat"), "x");
        erase(&mut config, "reg:5000").unwrap();
        let again = Config::read(directory.path().to_owned());
        assert_eq!(of(&again, "reg:5000"), None);
        assert_eq!(of(&again, "other").unwrap().password, "b");
    }

    #[test]
    fn an_identity_token_needs_no_warning_and_goes_out_in_place_of_the_password() {
        let (_directory, mut config) = config("{}");
        let known =
            Credentials { user: "u".into(), identity_token: "t".into(), ..Default::default() };
        assert!(!store(&mut config, "reg", &known).unwrap());
        assert_eq!(
            of(&config, "reg").unwrap().body("reg"),
            json!({ "username": "u", "identitytoken": "t", "serveraddress": "reg" })
        );
    }

    #[test]
    fn a_key_with_scheme_and_path_is_found_by_its_host() {
        let (_directory, config) =
            config(r#"{"auths":{"https://reg.example/v1/":{"auth":"dTpw"}}}"#);
        assert_eq!(of(&config, "reg.example").unwrap().password, "p");
        assert_eq!(host_of("http://reg.example:5000/v2/x"), "reg.example:5000");
    }

    #[test]
    fn a_registry_without_credentials_is_told_nothing() {
        let (_directory, config) = config("{}");
        assert_eq!(header(&config, "docker.io"), "e30=");
    }

    #[test]
    fn a_helper_is_a_name_and_not_a_path() {
        let error = ask("x/../../y", "get", "reg").unwrap_err();
        assert!(format!("{error:?}").contains("not a path"), "{error:?}");
    }
}
