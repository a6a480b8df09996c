//! `rm`.

use crate::arg::switch;
use crate::command::Invocation;
use crate::command::lifecycle::{container_path, each};
use crate::failure::Failure;
use crate::output;
use clap::Arg;
use client_http::{Query, Request};

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("force", 'f', "Force the removal of a running container (uses SIGKILL)"),
        switch("link", 'l', "Remove the specified link"),
        switch("volumes", 'v', "Remove anonymous volumes associated with the container"),
    ]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let force = flags.on("force");
    let query = Query::new()
        .with_switch("force", force)
        .with_switch("link", flags.on("link"))
        .with_switch("v", flags.on("volumes"));
    let removed = each(&session, &args, |client, name| {
        let query = query.clone();
        async move {
            let name = name.trim_matches('/');
            if name.is_empty() {
                return Err(Failure::Plain("Container name cannot be empty".into()));
            }
            client.send(Request::delete(container_path(name, "")).query(query)).await?;
            Ok(())
        }
    })
    .await;
    match removed {
        // What is to be gone and was never there is no failure.
        Err(Failure::Several(errors))
            if force && errors.iter().all(|error| error.contains("No such container")) =>
        {
            errors.iter().for_each(output::complain);
            Ok(())
        }
        other => other,
    }
}
