//! Signals that we get are the container's.

use client_http::{Client, Query, Request, escape_path};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

const FORWARDED: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("USR1", 10),
    ("USR2", 12),
    ("ALRM", 14),
    ("TERM", 15),
    ("CONT", 18),
    ("TSTP", 20),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
];

/// Forwards signals until the answer is dropped.
pub(crate) fn forward(client: &Client, id: &str) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (name, number) in FORWARDED {
        let Ok(mut signals) = signal(SignalKind::from_raw(*number)) else { continue };
        let (client, path) = (client.clone(), format!("/containers/{}/kill", escape_path(id)));
        tasks.spawn(async move {
            while signals.recv().await.is_some() {
                let request = Request::post(path.clone()).query(Query::new().with("signal", *name));
                // A container that is just ending cannot be signalled; its end is what counts.
                drop(client.send(request).await);
            }
        });
    }
    tasks
}
