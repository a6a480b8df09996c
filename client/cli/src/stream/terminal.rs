//! The terminal: raw mode, and its size.

use client_http::{Client, Query, Request};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr,
};
use std::io::{stdin, stdout};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// Standard input is a terminal.
pub(crate) fn input_is_terminal() -> bool {
    isatty(stdin())
}

/// Standard output is a terminal.
pub(crate) fn output_is_terminal() -> bool {
    isatty(stdout())
}

/// Every key goes through as it is, until this is dropped.
pub(crate) struct Raw(Termios);

impl std::fmt::Debug for Raw {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Raw")
    }
}

impl Raw {
    /// Sets raw mode, if standard input is a terminal.
    pub(crate) fn set() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to set back.
        let _gone = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// What is typed is not shown, until this is dropped.
pub(crate) struct Silent(Termios);

impl std::fmt::Debug for Silent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Silent")
    }
}

impl Silent {
    /// Turns the echo off, if standard input is a terminal.
    pub(crate) fn set() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Now, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to set back.
        let _gone = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// Rows and columns of standard output; `None` if it is no terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_row > 0 || size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// Tells the engine the terminal's size, now and whenever it changes, until the answer is dropped.
pub(crate) fn follow_size(client: &Client, path: String) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let client = client.clone();
    tasks.spawn(async move {
        let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
        // A container that has just been started may not have its terminal yet.
        for attempt in 0..10_u64 {
            if resize(&client, &path).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10 * (attempt + 1))).await;
        }
        while changes.recv().await.is_some() {
            resize(&client, &path).await;
        }
    });
    tasks
}

async fn resize(client: &Client, path: &str) -> bool {
    let Some((rows, columns)) = size() else { return true };
    let query = Query::new().with("h", rows.to_string()).with("w", columns.to_string());
    client.send(Request::post(path.to_owned()).query(query)).await.is_ok()
}
