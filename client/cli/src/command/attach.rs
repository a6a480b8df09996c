//! `attach`.

use crate::arg::{switch, value};
use crate::command::Invocation;
use crate::command::lifecycle::container_path;
use crate::failure::Failure;
use crate::stream::attached::{Attached, End, Streams};
use crate::stream::{exit, signals, terminal};
use clap::Arg;
use client_http::{Client, Request};
use serde_json::Value;

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        value("detach-keys", None, "string", "Override the key sequence for detaching a container"),
        switch("no-stdin", None, "Do not attach STDIN"),
        switch("sig-proxy", None, "Proxy all received signals to the process (default true)"),
    ]
}

/// What the engine shows of a container.
pub(crate) async fn inspected(client: &Client, name: &str) -> Result<Value, Failure> {
    Ok(client.send(Request::get(container_path(name, "/json"))).await?.json().await?)
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let client = session.client().await?;
    let waiting = exit::Waiting::open(&client, &args[0], "not-running").await?;
    let container = inspected(&client, &args[0]).await?;
    let state = &container["State"];
    let refusal = match () {
        () if state["Running"] != true => {
            Some("You cannot attach to a stopped container, start it first")
        }
        () if state["Paused"] == true => {
            Some("You cannot attach to a paused container, unpause it first")
        }
        () if state["Restarting"] == true => {
            Some("You cannot attach to a restarting container, wait until it is running")
        }
        () => None,
    };
    if let Some(text) = refusal {
        return Err(Failure::Plain(text.into()));
    }
    let config = &container["Config"];
    let tty = config["Tty"] == true;
    let input = !flags.on("no-stdin") && config["OpenStdin"] == true;
    if input && tty && !terminal::input_is_terminal() {
        return Err(Failure::Plain("the input device is not a TTY".into()));
    }
    let id = container["Id"].as_str().unwrap_or(&args[0]).to_owned();
    let keys = flags
        .text_of("detach-keys")
        .map_or_else(|| session.configured("detachKeys"), str::to_owned);
    let streams = Streams { input, output: true, error: true };
    let attached = Attached::open(&client, &id, streams, tty, &keys).await?;
    let _signals = (flags.not_off("sig-proxy") && !tty).then(|| signals::forward(&client, &id));
    let _size = tty.then(|| terminal::follow_size(&client, container_path(&id, "/resize")));
    match attached.copy().await? {
        End::Detached => Ok(()),
        End::Output => waiting.status().await,
    }
}
