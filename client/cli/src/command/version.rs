//! `version`.

use crate::arg::value;
use crate::command::Invocation;
use crate::failure::Failure;
use crate::format::template::{Template, unescaped};
use crate::{host, output};
use clap::Arg;
use client_http::{Client, NEWEST_VERSION, Request};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn flags() -> Vec<Arg> {
    vec![value("format", 'f', "string", "Format output: 'json' or a Go template")]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let context = host::context_name(&session.globals, &session.config);
    let asked = asked(&session).await;
    let (api, server) = match &asked {
        Ok((client, server)) => (client.version().to_owned(), server.clone()),
        Err(_) => (NEWEST_VERSION.to_owned(), Value::Null),
    };
    let client = json!({
        "Platform": {"Name": crate::tree::title(session.program)},
        "Version": crate::session::VERSION,
        "ApiVersion": api,
        "DefaultAPIVersion": NEWEST_VERSION,
        "GitCommit": crate::session::BUILD,
        "Os": std::env::consts::OS,
        "Arch": architecture(),
        "Context": context,
    });
    let mut both = json!({ "Client": client, "Server": server });
    // An engine leaves it out when it is false.
    if let Some(server) = both["Server"].as_object_mut() {
        server.entry("Experimental").or_insert(Value::Bool(false));
    }
    match flags.text("format").as_str() {
        "" => output::bytes(text(&both).as_bytes())?,
        "json" => output::line(both.to_string())?,
        format => {
            let template = Template::parse(&unescaped(format))?;
            output::line(
                template
                    .render(&both)
                    .map_err(|error| Failure::Plain(error.in_type("system.versionInfo")))?,
            )?;
        }
    }
    asked.map(|_| ())
}

async fn asked(session: &crate::session::Session) -> Result<(Client, Value), Failure> {
    let client = session.client().await?;
    let server = client.send(Request::get("/version")).await?.json().await?;
    Ok((client, server))
}

/// The architecture by Go's name.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn text(both: &Value) -> String {
    let client = &both["Client"];
    let field = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let api = match field(client, "ApiVersion") {
        version if version == NEWEST_VERSION => version,
        version => format!("{version} (downgraded from {NEWEST_VERSION})"),
    };
    let mut out = String::from("Client:\n");
    for (name, value) in [
        ("Version", field(client, "Version")),
        ("API version", api),
        ("Git commit", field(client, "GitCommit")),
        ("OS/Arch", format!("{}/{}", field(client, "Os"), field(client, "Arch"))),
        ("Context", field(client, "Context")),
    ] {
        writeln!(out, " {:<18} {value}", format!("{name}:")).expect("a String takes everything");
    }
    let server = &both["Server"];
    if server.is_null() {
        return out;
    }
    let platform = server["Platform"]["Name"].as_str().filter(|name| !name.is_empty());
    writeln!(out, "\nServer:{}", platform.map_or_else(String::new, |name| format!(" {name}")))
        .expect("a String takes everything");
    for component in server["Components"].as_array().into_iter().flatten() {
        writeln!(out, " {}:", field(component, "Name")).expect("a String takes everything");
        writeln!(out, "  {:<17} {}", "Version:", field(component, "Version"))
            .expect("a String takes everything");
        details(&mut out, &component["Details"], component["Name"] == "Engine");
    }
    out
}

fn details(out: &mut String, details: &Value, engine: bool) {
    let text = |name: &str| details[name].as_str().unwrap_or_default();
    if !engine {
        for (name, value) in details.as_object().into_iter().flatten() {
            writeln!(out, "  {:<17} {}", format!("{name}:"), value.as_str().unwrap_or_default())
                .expect("a String takes everything");
        }
        return;
    }
    let rows = [
        (
            "API version",
            format!("{} (minimum version {})", text("ApiVersion"), text("MinAPIVersion")),
        ),
        ("Go version", text("GoVersion").to_owned()),
        ("Git commit", text("GitCommit").to_owned()),
        ("Built", text("BuildTime").to_owned()),
        ("OS/Arch", format!("{}/{}", text("Os"), text("Arch"))),
        ("Experimental", text("Experimental").to_owned()),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "  {:<17} {value}", format!("{name}:")).expect("a String takes everything");
    }
}
