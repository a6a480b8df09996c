//! `exec`.

use crate::arg::{list, switch, value};
use crate::command::Invocation;
use crate::command::lifecycle::container_path;
use crate::failure::Failure;
use crate::parse::env;
use crate::stream::attached::{Attached, End};
use crate::stream::{exit, terminal};
use api_types::List;
use api_types::exec::{CreateBody, StartBody};
use clap::Arg;
use client_http::{Client, Request};
use serde_json::Value;

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("detach", 'd', "Detached mode: run command in the background"),
        value("detach-keys", None, "string", "Override the key sequence for detaching a container"),
        list("env", 'e', "Set environment variables"),
        list("env-file", None, "Read in a file of environment variables"),
        switch("interactive", 'i', "Keep STDIN open even if not attached"),
        switch("privileged", None, "Give extended privileges to the command"),
        switch("tty", 't', "Allocate a pseudo-TTY"),
        value("user", 'u', "string", "Username or UID (format: \"<name|uid>[:<group|gid>]\")"),
        value("workdir", 'w', "string", "Working directory inside the container"),
    ]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let detach = flags.on("detach");
    let tty = flags.on("tty");
    let input = flags.on("interactive") && !detach;
    let keys = flags
        .text_of("detach-keys")
        .map_or_else(|| session.configured("detachKeys"), str::to_owned);
    let body = CreateBody {
        user: flags.text("user"),
        privileged: flags.on("privileged"),
        tty,
        console_size: terminal_size(tty && !detach),
        attach_stdin: input,
        attach_stderr: !detach,
        attach_stdout: !detach,
        detach_keys: keys.clone(),
        env: List::from(env::environment(&flags.all("env-file"), &flags.all("env"))?),
        working_dir: flags.text("workdir"),
        cmd: List::from(args[1..].to_vec()),
    };
    let client = session.client().await?;
    // A container that does not exist is found out before the terminal is looked at.
    client.send(Request::get(container_path(&args[0], "/json"))).await?.bytes().await?;
    if input && tty && !terminal::input_is_terminal() {
        return Err(Failure::Plain("the input device is not a TTY".into()));
    }
    let request = Request::post(container_path(&args[0], "/exec")).json(&body)?;
    let reply: Value = client.send(request).await?.json().await?;
    let id = reply["Id"].as_str().filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Failure::Plain("exec ID empty".into()))?.to_owned();
    let start = StartBody { detach, tty, console_size: body.console_size };
    let request = Request::post(format!("/exec/{id}/start")).json(&start)?;
    if detach {
        client.send(request).await?.bytes().await?;
        return Ok(());
    }
    let attached = Attached::over(client.upgrade(request, "tcp").await?, input, tty, &keys)?;
    let _size = tty.then(|| terminal::follow_size(&client, format!("/exec/{id}/resize")));
    match attached.copy().await? {
        End::Detached => Ok(()),
        End::Output => exit_code(&client, &id).await,
    }
}

fn terminal_size(wanted: bool) -> Option<[u32; 2]> {
    let (rows, columns) = terminal::size().filter(|_| wanted)?;
    Some([u32::from(rows), u32::from(columns)])
}

async fn exit_code(client: &Client, id: &str) -> Result<(), Failure> {
    let reply: Value = client.send(Request::get(format!("/exec/{id}/json"))).await?.json().await?;
    exit::status(reply["ExitCode"].as_i64().unwrap_or_default())
}
