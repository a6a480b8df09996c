//! `logs`.

use crate::arg::{switch, value};
use crate::command::Invocation;
use crate::command::attach::inspected;
use crate::command::lifecycle::container_path;
use crate::failure::Failure;
use crate::format::time;
use crate::output;
use crate::stream::attached::show;
use clap::Arg;
use client_http::frames::Demultiplexer;
use client_http::{Query, Request};

pub(crate) fn flags() -> Vec<Arg> {
    vec![
        switch("details", None, "Show extra details provided to logs"),
        switch("follow", 'f', "Follow log output"),
        value(
            "since",
            None,
            "string",
            "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
        value(
            "tail",
            'n',
            "string",
            "Number of lines to show from the end of the logs (default \"all\")",
        ),
        switch("timestamps", 't', "Show timestamps"),
        value(
            "until",
            None,
            "string",
            "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)",
        ),
    ]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let client = session.client().await?;
    let container = inspected(&client, &args[0]).await?;
    let moment = |name: &str| {
        time::moment(&flags.text(name))
            .map_err(|failure| Failure::Plain(format!("invalid value for {name:?}: {failure}")))
    };
    let query = Query::new()
        .with("stdout", "1")
        .with("stderr", "1")
        .with_switch("timestamps", flags.on("timestamps"))
        .with_switch("details", flags.on("details"))
        .with_switch("follow", flags.on("follow"))
        .with_some("since", moment("since")?)
        .with_some("until", moment("until")?)
        .with("tail", flags.text_of("tail").unwrap_or("all"));
    let id = container["Id"].as_str().unwrap_or(&args[0]);
    let mut response = client.send(Request::get(container_path(id, "/logs")).query(query)).await?;
    let tty = container["Config"]["Tty"] == true;
    let mut frames = Demultiplexer::default();
    while let Some(piece) = response.chunk().await? {
        if tty {
            output::bytes(&piece)?;
            continue;
        }
        for frame in frames.push(piece)? {
            show(frame.channel, &frame.bytes)?;
        }
    }
    Ok(())
}
