//! `start`.

use crate::arg::{switch, value};
use crate::command::Invocation;
use crate::command::attach::inspected;
use crate::command::lifecycle::container_path;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use crate::stream::attached::{Attached, End, Streams};
use crate::stream::{exit, signals, terminal};
use clap::Arg;
use client_http::{Query, Request};

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("attach", 'a', "Attach STDOUT/STDERR and forward signals"),
        value("checkpoint", None, "string", "Restore from this checkpoint"),
        value("checkpoint-dir", None, "string", "Use a custom checkpoint storage directory"),
        value("detach-keys", None, "string", "Override the key sequence for detaching a container"),
        switch("interactive", 'i', "Attach container's STDIN"),
    ]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    if flags.on("attach") || flags.on("interactive") {
        if args.len() > 1 {
            return Err(Failure::Plain(
                "you cannot start and attach multiple containers at once".into(),
            ));
        }
        let keys = flags
            .text_of("detach-keys")
            .map_or_else(|| session.configured("detachKeys"), str::to_owned);
        return attached(&session, &args[0], flags.on("interactive"), &keys).await;
    }
    let query = Query::new()
        .with_some("checkpoint", flags.text("checkpoint"))
        .with_some("checkpoint-dir", flags.text("checkpoint-dir"));
    let client = session.client().await?;
    let mut failed = Vec::new();
    for name in &args {
        let request = Request::post(container_path(name, "/start")).query(query.clone());
        match client.send(request).await {
            Ok(_) => output::line(name)?,
            Err(error) => {
                output::complain(Failure::Engine(error).to_string());
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Plain(format!("Error: failed to start containers: {}", failed.join(", "))))
}

async fn attached(
    session: &Session,
    name: &str,
    interactive: bool,
    keys: &str,
) -> Result<(), Failure> {
    let client = session.client().await?;
    let container = inspected(&client, name).await?;
    let id = container["Id"].as_str().unwrap_or(name).to_owned();
    let tty = container["Config"]["Tty"] == true;
    let input = interactive && container["Config"]["OpenStdin"] == true;
    let streams = Streams { input, output: true, error: true };
    let attached = Attached::open(&client, &id, streams, tty, keys).await?;
    let removed = container["HostConfig"]["AutoRemove"] == true;
    let waiting =
        exit::Waiting::open(&client, &id, if removed { "removed" } else { "next-exit" }).await?;
    let _signals = (!tty).then(|| signals::forward(&client, &id));
    client.send(Request::post(container_path(&id, "/start"))).await?;
    let _size = tty.then(|| terminal::follow_size(&client, container_path(&id, "/resize")));
    match attached.copy().await? {
        End::Detached => Ok(()),
        End::Output => waiting.status().await,
    }
}
