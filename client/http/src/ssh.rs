//! `ssh://`: the engine's socket through `docker system dial-stdio` on the other machine.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The standard input and output of a running ssh as one connection. The child ends with it.
#[derive(Debug)]
pub(crate) struct Stdio2 {
    input: Option<ChildStdin>,
    output: ChildStdout,
    _child: Child,
}

/// Starts ssh. Its own errors go to our standard error, where the user can read them and type a passphrase.
pub(crate) fn dial(
    user: Option<&str>,
    host: &str,
    port: Option<u16>,
    path: Option<&str>,
) -> io::Result<Stdio2> {
    let mut command = Command::new("ssh");
    command.args(["-o", "ConnectTimeout=30", "-T"]);
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", host, "docker"]);
    if let Some(path) = path {
        command.arg(format!("--host=unix://{path}"));
    }
    command.args(["system", "dial-stdio"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let closed = || io::Error::other("ssh has no standard input or output");
    Ok(Stdio2 {
        input: Some(child.stdin.take().ok_or_else(closed)?),
        output: child.stdout.take().ok_or_else(closed)?,
        _child: child,
    })
}

impl AsyncRead for Stdio2 {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stdio2 {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Only closing the pipe tells the other side that the input ended.
        self.input = None;
        Poll::Ready(Ok(()))
    }
}
