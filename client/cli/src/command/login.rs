//! `login` and `logout`.

use crate::arg::{Flags, switch, value};
use crate::command::Invocation;
use crate::credentials::{self, Credentials, DEFAULT_SERVER};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use crate::stream::terminal;
use clap::Arg;
use client_http::{ClientError, Request};
use serde_json::Value;
use std::io::{BufRead as _, Read as _, Write as _};

/// The longest password that is read from standard input, in bytes.
const LONGEST_PASSWORD: u64 = 1 << 20;

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        value("password", 'p', "string", "Password or Personal Access Token (PAT)"),
        switch(
            "password-stdin",
            None,
            "Take the Password or Personal Access Token (PAT) from stdin",
        ),
        value("username", 'u', "string", "Username"),
    ]
}

pub(crate) async fn login(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { mut session, flags, args } = invocation;
    let server = match args.first().map(String::as_str) {
        None | Some("" | "docker.io" | "index.docker.io") => DEFAULT_SERVER,
        Some(address) => credentials::host_of(address),
    };
    let mut given = Credentials { user: flags.text("username"), ..Credentials::default() };
    given.password = password(&flags)?;
    if given == Credentials::default()
        && let Some(known) = credentials::of(&session.config, server)
    {
        let name = &known.user;
        output::complain(format!(
            "Authenticating with existing credentials... [Username: {name}]\n\n Info -> To login with a different \
             account, run '{0} logout' followed by '{0} login'\n\n",
            session.program
        ));
        match check(&session, server, &known).await {
            Ok(status) => return Ok(output::line(status.text)?),
            Err(error @ Failure::Plain(_)) => return Err(error),
            Err(_) => output::complain(
                "Login did not succeed, error: stored credentials are no longer good",
            ),
        }
    }
    ask(&mut given)?;
    let status = check(&session, server, &given).await?;
    if !status.identity_token.is_empty() {
        given.password.clear();
        given.identity_token = status.identity_token;
    }
    if credentials::store(&mut session.config, server, &given)? {
        output::complain(format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
             warning.\n",
            session.config.directory.join("config.json").display()
        ));
    }
    Ok(output::line(status.text)?)
}

fn password(flags: &Flags) -> Result<String, Failure> {
    if !flags.on("password-stdin") {
        if flags.given("password") {
            let text = "WARNING! Using --password via the CLI is insecure. Use --password-stdin.";
            output::complain(text);
        }
        return Ok(flags.text("password"));
    }
    if flags.given("password") {
        let text = "conflicting options: cannot specify both --password and --password-stdin";
        return Err(Failure::Plain(text.into()));
    }
    if flags.text("username").is_empty() {
        let text = "the --password-stdin option requires --username to be set";
        return Err(Failure::Plain(text.into()));
    }
    let mut text = String::new();
    std::io::stdin().lock().take(LONGEST_PASSWORD).read_to_string(&mut text)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Asks on the terminal for what was not given.
fn ask(given: &mut Credentials) -> Result<(), Failure> {
    if !given.user.is_empty() && !given.password.is_empty() {
        return Ok(());
    }
    if !terminal::input_is_terminal() {
        let text = "Error: Cannot perform an interactive login from a non TTY device";
        return Err(Failure::Plain(text.into()));
    }
    if given.user.is_empty() {
        prompt("Username: ")?;
        given.user = typed()?;
        if given.user.is_empty() {
            return Err(Failure::Plain("Error: Non-null Username Required".into()));
        }
    }
    if given.password.is_empty() {
        prompt("Password: ")?;
        let silent = terminal::Silent::set();
        given.password = typed()?;
        drop(silent);
        output::line("")?;
        if given.password.is_empty() {
            return Err(Failure::Plain("Error: Password Required".into()));
        }
    }
    Ok(())
}

fn prompt(text: &str) -> Result<(), Failure> {
    output::bytes(text.as_bytes())?;
    Ok(std::io::stdout().flush()?)
}

fn typed() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(LONGEST_PASSWORD).read_line(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// What the engine says of credentials that are right.
struct Accepted {
    text: String,
    identity_token: String,
}

async fn check(session: &Session, server: &str, known: &Credentials) -> Result<Accepted, Failure> {
    let request = Request::post("/auth").json(&known.body(server))?;
    let reply: Value = match session.client().await?.send(request).await {
        Err(ClientError::Status { status: 404, .. }) => {
            return Err(Failure::Plain("this engine cannot check credentials".into()));
        }
        reply => reply?.json().await?,
    };
    let text = |name: &str| reply[name].as_str().unwrap_or_default().to_owned();
    Ok(Accepted { text: text("Status"), identity_token: text("IdentityToken") })
}

pub(crate) async fn logout(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { mut session, args, .. } = invocation;
    let server = match args.first().map(String::as_str) {
        None | Some("" | "docker.io" | "index.docker.io") => DEFAULT_SERVER,
        Some(address) => credentials::host_of(address),
    };
    output::line(format!("Removing login credentials for {server}"))?;
    if server == DEFAULT_SERVER {
        return credentials::erase(&mut session.config, server);
    }
    // Older clients kept them with a scheme.
    for key in [server.to_owned(), format!("http://{server}"), format!("https://{server}")] {
        credentials::erase(&mut session.config, &key)?;
    }
    Ok(())
}
