//! One check: an exec in the container, as a client would make it, with a limit of time and of output.

use super::check::{Check, go_text};
use super::state::Outcome;
use crate::event;
use crate::exec::{Exec, Phase};
use crate::open::Engine;
use api_types::exec::CreateBody;
use spec::{ContainerId, Failure};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Bytes of output that are kept.
const KEPT: usize = 4096;

/// The code of a check that could not be made.
const NOT_MADE: i32 = -1;

const KILL: i32 = 9;

/// Asks once.
pub(super) async fn probe(engine: &Engine, id: &ContainerId, check: &Check) -> Outcome {
    let start = event::now();
    let (code, output) = match make(engine, id, check).await {
        Ok(exec) => {
            let answer = ask(engine, &exec, check).await;
            end(engine, &exec).await;
            answer
        }
        Err(failure) => (NOT_MADE, failure.to_string()),
    };
    Outcome { start, end: event::now(), code, output }
}

async fn make(engine: &Engine, id: &ContainerId, check: &Check) -> Result<Arc<Exec>, Failure> {
    let body = CreateBody {
        cmd: check.command.clone().into(),
        attach_stdout: true,
        attach_stderr: true,
        ..CreateBody::default()
    };
    let name = engine.exec_create(id.as_str(), body).await?;
    engine.0.execs.find(&name)
}

/// Runs it; its code and what it printed.
async fn ask(engine: &Engine, exec: &Exec, check: &Check) -> (i32, String) {
    let output = Shared::default();
    let run = async {
        read(engine.exec_attached(exec.id.as_str()).await?, &output).await;
        let mut phase = exec.phase.subscribe();
        let ended = phase.wait_for(|phase| matches!(phase, Phase::Ended { .. })).await;
        match ended.as_deref() {
            Ok(Phase::Ended { code }) => Ok(*code),
            _ => Err(Failure::internal("the engine is ending")),
        }
    };
    match tokio::time::timeout(check.timeout, run).await {
        Ok(Ok(code)) => (code, text(&output)),
        Ok(Err(failure)) => (NOT_MADE, failure.to_string()),
        Err(_) => {
            let late = format!("Health check exceeded timeout ({})", go_text(check.timeout));
            let text = text(&output);
            (NOT_MADE, if text.is_empty() { late } else { format!("{late}: {text}") })
        }
    }
}

/// Sees to it that nothing of the check is left: its process is killed if it still runs, and nobody can ask for it.
async fn end(engine: &Engine, exec: &Exec) {
    engine.0.execs.take(&exec.id);
    let mut phase = exec.phase.subscribe();
    // A start has a deadline of its own.
    phase.wait_for(|phase| !matches!(phase, Phase::Starting)).await.ok();
    let runs = matches!(*phase.borrow(), Phase::Running { .. });
    if runs {
        let (container, id) = (exec.container.clone(), exec.id.clone());
        // One that has ended meanwhile cannot be killed, and need not be.
        engine.0.workers.signal(container, Some(id), KILL).await.ok();
    }
}

/// The beginning of what a check printed.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    cut: bool,
}

type Shared = Arc<Mutex<Output>>;

fn text(output: &Shared) -> String {
    let output = output.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&output.bytes).into_owned();
    if output.cut { text + "..." } else { text }
}

/// Reads the frames of a stream to its end.
async fn read(mut stream: UnixStream, output: &Shared) {
    // A check has no input.
    stream.shutdown().await.ok();
    let mut head = [0; 8];
    let mut chunk = vec![0; KEPT];
    while stream.read_exact(&mut head).await.is_ok() {
        let [_, _, _, _, length @ ..] = head;
        let mut left = u32::from_be_bytes(length) as usize;
        while left > 0 {
            let part = &mut chunk[..left.min(KEPT)];
            let Ok(count @ 1..) = stream.read(part).await else { return };
            left -= count;
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT - output.bytes.len();
            output.cut |= count > room;
            output.bytes.extend_from_slice(&part[..count.min(room)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text_of(frames: &[(u8, usize)]) -> String {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let output = Shared::default();
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|(byte, count)| {
                let length = u32::try_from(*count).unwrap().to_be_bytes();
                [&[1, 0, 0, 0][..], &length, &vec![*byte; *count]].concat()
            })
            .collect();
        let write = async move {
            ours.write_all(&bytes).await.unwrap();
        };
        tokio::join!(write, read(theirs, &output));
        text(&output)
    }

    #[tokio::test]
    async fn output_is_kept_without_frames_and_cut_at_4096_bytes() {
        assert_eq!(text_of(&[(b'a', 2), (b'b', 1)]).await, "aab");
        assert_eq!(text_of(&[(b'a', 4096)]).await, "a".repeat(4096));
        assert_eq!(
            text_of(&[(b'a', 4000), (b'b', 97)]).await,
            "a".repeat(4000) + &"b".repeat(96) + "..."
        );
        assert_eq!(text_of(&[(b'a', 90_000), (b'b', 9)]).await, "a".repeat(4096) + "...");
    }
}
