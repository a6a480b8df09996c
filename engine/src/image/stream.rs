//! Pipes between what blocks (archives, compression) and what does not (the network).
//!
//! Whoever writes to such a pipe waits for the client at its other end, for as long as that likes. So each has a thread
//! of its own: tokio's few blocking threads are for those who wait for the disk.

use crate::TarStream;
use archive::Decoder;
use spec::{Class, Failure};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::OwnedFd;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Bytes that an archive may decompress to: a bound against bombs, not a quota.
const MOST_DECOMPRESSED: u64 = 1 << 40;
/// What is written to a pipe at once.
const CHUNK: usize = 64 << 10;

/// A pipe's ends, both blocking: for reading, for writing.
fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    match io::pipe() {
        Ok((reader, writer)) => Ok((reader.into(), writer.into())),
        Err(cause) => Err(Failure::internal(format!("make pipe: {cause}"))),
    }
}

/// Runs `work` on a thread of its own.
fn on_thread(
    what: &'static str,
    work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<JoinHandle<Result<(), Failure>>, Failure> {
    let (sender, receiver) = oneshot::channel();
    let run = move || {
        // Nobody may wait for the outcome.
        sender.send(work()).ok();
    };
    std::thread::Builder::new()
        .name(what.replace(' ', "-"))
        .spawn(run)
        .map_err(|cause| Failure::internal(format!("{what}: {cause}")))?;
    let broke_off = move |_| Err(Failure::internal(format!("{what}: broke off")));
    Ok(tokio::spawn(async move { receiver.await.unwrap_or_else(broke_off) }))
}

/// A tar that `write` writes on a thread of its own while it is read.
pub fn written<E: Into<Failure>>(
    write: impl FnOnce(&mut dyn Write) -> Result<(), E> + Send + 'static,
) -> Result<TarStream, Failure> {
    let (reader, writer) = pipe()?;
    let outcome = on_thread("write archive", move || {
        let mut writer = BufWriter::with_capacity(CHUNK, File::from(writer));
        write(&mut writer).map_err(Into::into)?;
        writer.flush().map_err(|cause| Failure::internal(format!("write archive: {cause}")))
    })?;
    Ok(TarStream { reader, outcome })
}

/// The archive `input` without its compression, whichever it has, and how decompressing ended.
pub fn decompressed(input: OwnedFd) -> Result<(OwnedFd, JoinHandle<Result<(), Failure>>), Failure> {
    let (reader, writer) = pipe()?;
    let outcome = on_thread("decompress archive", move || {
        let refused = |cause: io::Error| {
            Failure::new(Class::InvalidArgument, format!("decompress archive: {cause}"))
        };
        let mut decoder = Decoder::new(File::from(input), MOST_DECOMPRESSED).map_err(refused)?;
        match io::copy(&mut decoder, &mut File::from(writer)) {
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => Err(refused(cause)),
            // Who unpacks may stop at the end of the tar, before the end of the stream.
            _ => Ok(()),
        }
    })?;
    Ok((reader, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[tokio::test]
    async fn what_is_written_can_be_read_and_a_failure_is_told() {
        let stream = written(|out| {
            out.write_all(b"tar").map_err(|cause| Failure::internal(cause.to_string()))?;
            Err::<(), _>(Failure::conflict("half"))
        });
        let TarStream { reader, outcome } = stream.unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            File::from(reader).read_to_end(&mut bytes).unwrap();
            bytes
        });
        assert_eq!(outcome.await.unwrap().unwrap_err().message, "half");
        assert_eq!(read.await.unwrap(), b"tar");
    }

    #[tokio::test]
    async fn an_archive_without_compression_passes_as_it_is() {
        let (input, writer) = pipe().unwrap();
        File::from(writer).write_all(&[7; 1000]).unwrap();
        let (output, outcome) = decompressed(input).unwrap();
        outcome.await.unwrap().unwrap();
        let mut bytes = Vec::new();
        File::from(output).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [7; 1000]);
    }
}
