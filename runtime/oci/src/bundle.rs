//! A bundle: `config.json` and what it names on the host.

use crate::Error;
use crate::root::read_file;
use launch::Source;
use plan::SourceKind;
use rustix::fs::{FileType, Mode, OFlags, fstat};
use spec::oci::{Mount, Spec};
use std::ffi::{CString, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use sys::clone::Namespaces;

/// A bundle that was read.
#[derive(Debug)]
pub(crate) struct Bundle {
    /// Its directory, absolute.
    pub(crate) path: PathBuf,
    /// `config.json` as it is.
    pub(crate) text: Vec<u8>,
    /// The same, parsed.
    pub(crate) spec: Spec,
}

impl Bundle {
    /// Reads `config.json` in the directory `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, Error> {
        let (absolute, _) = open_directory("chdir", path)?;
        let config = absolute.join("config.json");
        let text = read_file(&config)?;
        let spec = parse_spec("config.json", &text)?;
        Ok(Self { path: absolute, text, spec })
    }

    /// The root file system, absolute.
    pub(crate) fn rootfs(&self) -> Result<PathBuf, Error> {
        let root = self.spec.root.as_ref().filter(|root| !root.path.is_empty());
        let root = root.ok_or_else(|| Error::value("root.path", "", "a directory"))?;
        Ok(self.path.join(&root.path))
    }

    /// The root file system, open, and its path without symbolic links.
    pub(crate) fn open_rootfs(&self) -> Result<(PathBuf, OwnedFd), Error> {
        let path = self.rootfs()?;
        open_directory("open root.path", &path)
    }

    /// For each mount the source, if it is a bind mount.
    pub(crate) fn open_sources(&self) -> Result<Vec<Option<Opened>>, Error> {
        let open = |(index, mount): (usize, &Mount)| {
            if !is_bind(mount) {
                return Ok(None);
            }
            let source = mount.source.as_deref().filter(|source| !source.is_empty());
            let field = format!("mounts[{index}].source");
            let source = source.ok_or_else(|| Error::value(field, "", "a file or directory"))?;
            let path = self.path.join(source);
            let object = format!("{} for mount {:?}", path.display(), mount.destination);
            let opened = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            let file = opened.map_err(|errno| Error::system("open", object, errno))?;
            Ok(Some(Opened { path, file }))
        };
        self.spec.mounts.iter().enumerate().map(open).collect()
    }

    /// The namespaces that are joined by a path.
    pub(crate) fn open_namespaces(&self) -> Result<Vec<(Namespaces, OwnedFd)>, Error> {
        let listed = self.spec.linux.iter().flat_map(|linux| &linux.namespaces);
        let mut joins: Vec<(Namespaces, OwnedFd)> = Vec::new();
        for (index, namespace) in listed.enumerate() {
            let Some(path) = namespace.path.as_deref().filter(|path| !path.is_empty()) else {
                continue;
            };
            // A kind that nobody knows is refused by the plan, with the list of those that are.
            let Some(kind) = kind(&namespace.kind) else { continue };
            let field = format!("linux.namespaces[{index}].path");
            if !path.starts_with('/') {
                return Err(Error::value(field, path, "an absolute path"));
            }
            if joins.iter().any(|(other, _)| *other == kind) {
                return Err(Error::value(field, path, "named once for each type"));
            }
            joins.push((kind, launch::open_namespace(Path::new(path), kind)?));
        }
        Ok(joins)
    }
}

/// Reads a specification; the error says the field, the line, the column and what was expected.
pub(crate) fn parse_spec(object: &str, text: &[u8]) -> Result<Spec, Error> {
    crate::field::read(object, text)
}

/// Whether the mount shows something of the host, and not a file system that the kernel makes.
fn is_bind(mount: &Mount) -> bool {
    mount.kind.as_deref() == Some("bind")
        || mount.options.iter().any(|option| option == "bind" || option == "rbind")
}

fn kind(name: &str) -> Option<Namespaces> {
    Some(match name {
        "pid" => Namespaces::PID,
        "network" => Namespaces::NET,
        "mount" => Namespaces::MOUNT,
        "ipc" => Namespaces::IPC,
        "uts" => Namespaces::UTS,
        "user" => Namespaces::USER,
        "cgroup" => Namespaces::CGROUP,
        "time" => Namespaces::TIME,
        _ => return None,
    })
}

/// The directory at `path`, open, and its path without symbolic links, as the kernel shows it.
fn open_directory(action: &'static str, path: &Path) -> Result<(PathBuf, OwnedFd), Error> {
    let failed = |errno| Error::system(action, path.display().to_string(), errno);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let shown = rustix::fs::readlink(link, Vec::new()).map_err(failed)?;
    Ok((PathBuf::from(OsString::from_vec(shown.into_bytes())), fd))
}

/// What a path leads to.
#[derive(Debug)]
pub(crate) struct Opened {
    path: PathBuf,
    file: OwnedFd,
}

/// What the sources are, for the plan.
pub(crate) fn kinds(sources: &[Option<Opened>]) -> Result<Vec<Option<SourceKind>>, Error> {
    let kind = |Opened { path, file }: &Opened| {
        let failed = |errno| Error::system("look at", path.display().to_string(), errno);
        Ok(match FileType::from_raw_mode(fstat(file).map_err(failed)?.st_mode) {
            FileType::Directory => SourceKind::Directory,
            _ => SourceKind::File,
        })
    };
    sources.iter().map(|source| source.as_ref().map(kind).transpose()).collect()
}

/// The sources, for the launch.
pub(crate) fn given(sources: Vec<Option<Opened>>) -> Result<Vec<Option<Source>>, Error> {
    let source = |Opened { path, file }: Opened| Ok(Source::Path { path: c_path(path)?, file });
    sources.into_iter().map(|opened| opened.map(source).transpose()).collect()
}

/// A path of the host as the kernel reads it.
pub(crate) fn c_path(path: PathBuf) -> Result<CString, Error> {
    let text = path.display().to_string();
    CString::new(path.into_os_string().into_vec())
        .map_err(|_| Error::value("path", text, "without zero bytes"))
}
