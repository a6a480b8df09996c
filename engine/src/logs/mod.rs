//! Reading a container's log: the tail, the rotated files, what is written meanwhile.
//!
//! Each stream is one task that reads blocks on a blocking thread and hands rendered bytes to its client through a
//! bounded queue; a client that does not read holds one block and no thread.

pub mod files;
pub mod record;
pub mod render;
pub mod tail;
pub mod timestamp;
pub mod watch;

use bytes::Bytes;
use files::Place;
use futures_util::Stream;
use render::{Renderer, Show};
use spec::{Class, Failure};
use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use watch::Watch;

/// Bytes that are read at once.
const BLOCK: usize = 256 * 1024;
/// Rendered blocks that wait for the client.
const QUEUE: usize = 2;

/// The bytes of a log, in pieces as they are to be sent.
#[derive(Debug)]
pub struct LogStream {
    /// Whether the container has a terminal: the bytes have no frames then.
    pub tty: bool,
    pieces: mpsc::Receiver<Result<Bytes, Failure>>,
}

impl LogStream {
    /// The next piece; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        self.pieces.recv().await
    }
}

impl Stream for LogStream {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_recv(context)
    }
}

/// Which part of a log is read.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// What is shown of each record.
    pub show: Show,
    /// Only the last lines; all when not set.
    pub tail: Option<u64>,
}

/// Reads a log. With `follow`, what is written until `follow` resolves is read too.
pub fn read<F>(place: Place, part: Part, follow: Option<F>) -> LogStream
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, pieces) = mpsc::channel(QUEUE);
    let tty = part.show.raw;
    tokio::spawn(async move {
        if let Err(failure) = produce(place, part, follow, &sender).await {
            sender.send(Err(failure)).await.ok();
        }
    });
    LogStream { tty, pieces }
}

/// Files that are still to be read, and where in the first of them.
struct Position {
    files: VecDeque<Arc<File>>,
    offset: u64,
    reader: Reader,
}

/// What goes to the thread that reads and comes back.
#[derive(Default)]
struct Reader {
    renderer: Renderer,
    block: Vec<u8>,
}

impl Reader {
    /// Reads one block at `offset`; answers how many bytes it has and what they are rendered to.
    fn next(&mut self, file: &File, offset: u64) -> std::io::Result<(usize, Vec<u8>)> {
        self.block.resize(BLOCK, 0);
        let read = file.read_at(&mut self.block, offset)?;
        let mut out = Vec::with_capacity(read);
        self.renderer.push(&self.block[..read], &mut out);
        Ok((read, out))
    }
}

async fn produce<F>(
    place: Place,
    part: Part,
    follow: Option<F>,
    sender: &mpsc::Sender<Result<Bytes, Failure>>,
) -> Result<(), Failure>
where
    F: Future<Output = ()> + Send + 'static,
{
    let watch = follow.as_ref().and_then(|_| place.path.parent()).map(Watch::new);
    let start = {
        let place = place.clone();
        blocking(move || first(&place, part)).await?
    };
    let mut position = start;
    let (Some(follow), Some(watch)) = (follow, watch) else {
        drain(&mut position, sender).await?;
        return Ok(());
    };
    tokio::pin!(follow);
    loop {
        if !drain(&mut position, sender).await? {
            return Ok(());
        }
        let ended = tokio::select! {
            () = &mut follow => true,
            () = sender.closed() => return Ok(()),
            () = watch.changed() => false,
        };
        advance(&place, &mut position).await?;
        if ended {
            // What was written between the last look and the end.
            while drain(&mut position, sender).await? && advance(&place, &mut position).await? {}
            return Ok(());
        }
    }
}

/// Opens the files and finds where the wanted lines begin.
fn first(place: &Place, part: Part) -> std::io::Result<Position> {
    let files = place.open_all()?;
    let reader = Reader { renderer: Renderer::new(part.show), block: Vec::new() };
    let Some(mut missing) = part.tail else {
        return Ok(Position {
            files: files.into_iter().map(Arc::new).collect(),
            offset: 0,
            reader,
        });
    };
    let mut wanted = VecDeque::new();
    let mut offset = 0;
    for file in files.into_iter().rev() {
        let (start, found) = tail::tail_start(&file, file.metadata()?.len(), missing)?;
        missing -= found;
        offset = start;
        wanted.push_front(Arc::new(file));
        if missing == 0 {
            break;
        }
    }
    Ok(Position { files: wanted, offset, reader })
}

/// Reads to the end of the last file. False when nobody listens or nothing more is wanted.
async fn drain(
    position: &mut Position,
    sender: &mpsc::Sender<Result<Bytes, Failure>>,
) -> Result<bool, Failure> {
    while let Some(file) = position.files.front().map(Arc::clone) {
        let (offset, mut reader) = (position.offset, std::mem::take(&mut position.reader));
        let (reader, read, out) = blocking(move || {
            let (read, out) = reader.next(&file, offset)?;
            Ok((reader, read, out))
        })
        .await?;
        position.reader = reader;
        if read == 0 {
            if position.files.len() == 1 {
                // Nothing may be written for long.
                position.reader.block = Vec::new();
                return Ok(true);
            }
            position.files.pop_front();
            position.offset = 0;
            position.reader.renderer.start_file();
            continue;
        }
        position.offset += read as u64;
        if !out.is_empty() && sender.send(Ok(Bytes::from(out))).await.is_err() {
            return Ok(false);
        }
        if position.reader.renderer.is_past_until() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds files that rotation made since. True when there are any.
async fn advance(place: &Place, position: &mut Position) -> Result<bool, Failure> {
    let place = place.clone();
    let last = position.files.back().map(Arc::clone);
    let newer = blocking(move || match last {
        Some(last) => place.newer_than(&last),
        None => place.open_all(),
    })
    .await?;
    let any = !newer.is_empty();
    position.files.extend(newer.into_iter().map(Arc::new));
    Ok(any)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Failure::new(Class::Internal, format!("read log: {error}"))),
        Err(_) => Err(Failure::internal("read log: the engine is ending")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn line(text: &str) -> String {
        format!(
            "{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}}\n"
        )
    }

    fn raw() -> Show {
        Show { stdout: true, stderr: true, raw: true, ..Show::default() }
    }

    async fn collect(mut stream: LogStream) -> String {
        let mut all = Vec::new();
        while let Some(piece) = stream.next().await {
            all.extend_from_slice(&piece.unwrap());
        }
        String::from_utf8(all).unwrap()
    }

    #[tokio::test]
    async fn the_tail_reaches_back_into_rotated_files() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place { path: directory.path().join("log") };
        std::fs::write(directory.path().join("log.1"), line("a") + &line("b")).unwrap();
        std::fs::write(&place.path, line("c")).unwrap();
        for (tail, expected) in
            [(Some(2), "b\nc\n"), (Some(9), "a\nb\nc\n"), (Some(0), ""), (None, "a\nb\nc\n")]
        {
            let part = Part { show: raw(), tail };
            let stream = read(place.clone(), part, None::<std::future::Ready<()>>);
            assert_eq!(collect(stream).await, expected, "{tail:?}");
        }
    }

    #[tokio::test]
    async fn a_log_that_does_not_exist_yet_is_followed_through_a_rotation_to_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place { path: directory.path().join("log") };
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let follow = async move { ended.await.unwrap_or_default() };
        let mut stream = read(place.clone(), Part { show: raw(), tail: None }, Some(follow));
        let mut file = File::create(&place.path).unwrap();
        file.write_all(line("a").as_bytes()).unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "a\n");
        file.write_all(line("b").as_bytes()).unwrap();
        std::fs::rename(&place.path, directory.path().join("log.1")).unwrap();
        std::fs::write(&place.path, line("c")).unwrap();
        end.send(()).unwrap();
        assert_eq!(collect(stream).await, "b\nc\n");
    }
}
