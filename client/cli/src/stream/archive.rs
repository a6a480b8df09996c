//! Archives between this machine's files and a container's. Each is packed or unpacked by a thread of its own, since
//! files are read and written blockingly.

use crate::failure::Failure;
use client_http::Response;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex, oneshot};

/// Where an archive goes.
#[derive(Debug)]
pub(crate) enum Place {
    /// Into a directory that exists, under the names in the archive.
    Into(PathBuf),
    /// As this path; `top` is the name in the archive, empty if the archive holds the content of a directory.
    As { path: PathBuf, top: String },
}

struct Pieces {
    receiver: Receiver<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            match self.receiver.blocking_recv() {
                Some(piece) => (self.current, self.at) = (piece, 0),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Unpacks the body of an answer; the size of the archive is the result.
pub(crate) async fn extract(
    mut response: Response,
    place: Place,
    owners: bool,
) -> Result<u64, Failure> {
    let (sender, receiver) = channel(8);
    let (done, result) = oneshot::channel();
    std::thread::spawn(move || {
        let mut pieces = Pieces { receiver, current: Vec::new(), at: 0 };
        let unpacked = unpack(&mut pieces, &place, owners);
        // The rest of the archive is padding.
        let drained = io::copy(&mut pieces, &mut io::sink()).map(drop);
        drop(done.send(unpacked.and(drained)));
    });
    let mut size = 0;
    while let Some(piece) = response.chunk().await? {
        size += piece.len() as u64;
        if sender.send(piece.to_vec()).await.is_err() {
            break;
        }
    }
    drop(sender);
    result.await.map_err(|_| Failure::Plain("the archive could not be unpacked".into()))??;
    Ok(size)
}

fn unpack(source: &mut impl Read, place: &Place, owners: bool) -> io::Result<()> {
    match place {
        Place::Into(directory) => unpack_in(source, directory, owners),
        Place::As { path, top } => {
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or_else(|| Path::new("."));
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            // Beside the target, so that a rename puts it in its place.
            let staging = parent.join(format!(".{name}.{}.tmp", std::process::id()));
            std::fs::create_dir(&staging)?;
            let whole = unpack_in(source, &staging, owners);
            let moved = whole.and_then(|()| {
                let from = if top.is_empty() { staging.clone() } else { staging.join(top) };
                std::fs::rename(from, path)
            });
            if staging.exists() {
                drop(std::fs::remove_dir_all(&staging));
            }
            moved
        }
    }
}

/// Names that lead out of the directory, also through links in it, are left out by the library.
fn unpack_in(source: &mut impl Read, directory: &Path, owners: bool) -> io::Result<()> {
    let mut archive = tar::Archive::new(source);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(owners);
    archive.set_overwrite(true);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.unpack_in(directory)? {
            return Err(outside(&entry.path()?));
        }
    }
    Ok(())
}

fn outside(path: &Path) -> io::Error {
    io::Error::other(format!(
        "the archive's entry {:?} lies outside of the destination",
        path.display().to_string()
    ))
}

/// What packing came to, once the archive was sent.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    size: Arc<AtomicU64>,
    result: Arc<Mutex<Option<oneshot::Receiver<io::Result<()>>>>>,
}

impl Counted {
    /// Bytes of the archive.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Whether every file could be read.
    pub(crate) async fn result(&self) -> Result<(), Failure> {
        let receiver = self.result.lock().await.take();
        match receiver {
            Some(receiver) => Ok(receiver.await.unwrap_or(Ok(()))?),
            None => Ok(()),
        }
    }
}

struct Pushed(Sender<Vec<u8>>, Arc<AtomicU64>);

impl Write for Pushed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.0
            .blocking_send(bytes.to_vec())
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The archive while it is packed.
#[derive(Debug)]
pub(crate) struct Packed {
    receiver: Receiver<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl AsyncRead for Packed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.at == self.current.len() {
            match self.receiver.poll_recv(cx) {
                Poll::Ready(Some(piece)) => (self.current, self.at) = (piece, 0),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        let count = buffer.remaining().min(self.current.len() - self.at);
        buffer.put_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Poll::Ready(Ok(()))
    }
}

/// The name of a source in the archive; `.` for the content of a directory.
pub(crate) fn base_name(local: &Path, source: &str) -> String {
    if source.ends_with("/.") || source == "." {
        return ".".into();
    }
    let whole = std::path::absolute(local).unwrap_or_else(|_| local.to_owned());
    whole.file_name().map_or_else(|| ".".into(), |name| name.to_string_lossy().into_owned())
}

/// Packs a file or a directory under another name.
pub(crate) fn pack(local: PathBuf, name: String) -> (Packed, Counted) {
    let (sender, receiver) = channel(8);
    let size = Arc::new(AtomicU64::new(0));
    let (done, result) = oneshot::channel();
    let pushed = Pushed(sender, Arc::clone(&size));
    std::thread::spawn(move || {
        let mut builder = tar::Builder::new(io::BufWriter::with_capacity(64 << 10, pushed));
        builder.follow_symlinks(false);
        let packed = append(&mut builder, &local, Path::new(&name))
            .and_then(|()| builder.into_inner())
            .and_then(|mut inner| inner.flush());
        drop(done.send(packed));
    });
    let packed = Packed { receiver, current: Vec::new(), at: 0 };
    (packed, Counted { size, result: Arc::new(Mutex::new(Some(result))) })
}

fn append<W: Write>(builder: &mut tar::Builder<W>, local: &Path, name: &Path) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(local)?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&metadata);
    if metadata.is_dir() {
        header.set_size(0);
        builder.append_data(&mut header, name, io::empty())?;
        let mut children: Vec<_> = std::fs::read_dir(local)?.collect::<io::Result<Vec<_>>>()?;
        children.sort_by_key(std::fs::DirEntry::file_name);
        for child in children {
            append(builder, &child.path(), &name.join(child.file_name()))?;
        }
        return Ok(());
    }
    if metadata.is_symlink() {
        header.set_size(0);
        return builder.append_link(&mut header, name, std::fs::read_link(local)?);
    }
    if metadata.is_file() {
        return builder.append_data(
            &mut header,
            name,
            std::fs::File::open(local)?.take(metadata.len()),
        );
    }
    header.set_size(0);
    builder.append_data(&mut header, name, io::empty())
}
