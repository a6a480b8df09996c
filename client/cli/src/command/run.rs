//! `run`: make, attach, wait, start, in this order, so that no byte and no exit is missed.

use crate::arg::Flags;
use crate::command::Invocation;
use crate::command::create::{self, Created, check_pull};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;
use crate::stream::attached::{Attached, End, Streams};
use crate::stream::{exit, signals, terminal};
use client_http::{ClientError, Request, escape_path};

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, args } = invocation;
    let detach = flags.on("detach");
    check_pull(&flags).map_err(|failure| failure.hinted("run", 125))?;
    if detach && flags.given("attach") {
        return Err(Failure::Plain(
            "conflicting options: cannot specify both --attach and --detach".into(),
        ));
    }
    let interactive = flags.on("interactive") && !detach;
    if interactive && flags.on("tty") && !terminal::input_is_terminal() {
        return Err(Failure::Plain("the input device is not a TTY".into())
            .hinted("run", 125)
            .silent_name());
    }
    let mut created =
        create(&session, &flags, &args).await.map_err(|failure| failure.hinted("run", 125))?;
    created.body.host_config.console_size = [0, 0];
    let keys = flags
        .text_of("detach-keys")
        .map_or_else(|| session.configured("detachKeys"), str::to_owned);
    if detach {
        return background(&created).await;
    }
    let proxy = flags.not_off("sig-proxy");
    foreground(&created, &keys, proxy).await
}

async fn create(session: &Session, flags: &Flags, args: &[String]) -> Result<Created, Failure> {
    let body = create::body(session, flags, args)?;
    create::make(session, flags, body).await
}

async fn background(created: &Created) -> Result<(), Failure> {
    let waiting = exit::Waiting::open(&created.client, &created.id, condition(created)).await?;
    start(created).await?;
    drop(waiting);
    Ok(output::line(&created.id)?)
}

fn condition(created: &Created) -> &'static str {
    if created.body.host_config.auto_remove { "removed" } else { "next-exit" }
}

async fn start(created: &Created) -> Result<(), Failure> {
    let request = Request::post(format!("/containers/{}/start", escape_path(&created.id)));
    match created.client.send(request).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let code = start_code(&error);
            Err(Failure::Engine(error).hinted("run", code))
        }
    }
}

/// The exit status for a container that does not start, by the engine's words: the only place where they decide.
pub(crate) fn start_code(error: &ClientError) -> u8 {
    let text = error.to_string();
    let has = |words: &str| text.contains(words);
    if has("executable file not found")
        || has("no such file or directory")
        || has("system cannot find the file specified")
    {
        127
    } else if has("permission denied") || has("is a directory") {
        126
    } else {
        125
    }
}

async fn foreground(created: &Created, keys: &str, proxy: bool) -> Result<(), Failure> {
    let config = &created.body.config;
    let streams = Streams {
        input: config.attach_stdin,
        output: config.attach_stdout,
        error: config.attach_stderr,
    };
    let attached = match streams.any() {
        true => {
            Some(Attached::open(&created.client, &created.id, streams, config.tty, keys).await?)
        }
        false => None,
    };
    let waiting = exit::Waiting::open(&created.client, &created.id, condition(created)).await?;
    let _signals = proxy.then(|| signals::forward(&created.client, &created.id));
    // The start only ends once the container runs; what it writes meanwhile waits in the connection.
    if let Err(failure) = start(created).await {
        drop(attached);
        if created.body.host_config.auto_remove {
            drop(waiting.status().await);
        }
        return Err(failure);
    }
    let Some(attached) = attached else {
        output::line(&created.id)?;
        return waiting.status().await;
    };
    let resizing = config.tty.then(|| {
        terminal::follow_size(&created.client, format!("/containers/{}/resize", created.id))
    });
    let end = attached.copy().await;
    drop(resizing);
    match end? {
        End::Detached => Ok(()),
        End::Output => waiting.status().await,
    }
}

impl Failure {
    /// Docker prints this one without the command's name.
    fn silent_name(self) -> Self {
        match self {
            Self::Hinted { source, .. } => *source,
            other => other,
        }
    }
}
