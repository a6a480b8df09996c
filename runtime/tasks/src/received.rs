//! The descriptors of a request to start something, each taken once, so that a forked child knows which are its own.

use messages::Fd;
use messages::shim::Attach;
use messages::task::{Exec, Launch, Log};
use shim::{JsonLog, LogFile, LogFileError};
use spec::{Class, Failure};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use transport::Descriptors;

/// Clients that may be attached from the start.
const CLIENTS: usize = 64;

/// What both requests have.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Clients that are attached from the start.
    pub clients: Vec<(Attach, OwnedFd)>,
    /// The first connection of an engine.
    pub channel: OwnedFd,
}

/// What a launch has besides.
#[derive(Debug)]
pub(crate) struct Launched {
    /// Clients and the channel.
    pub ends: Ends,
    /// The root file system.
    pub rootfs: OwnedFd,
    /// Bind sources.
    pub sources: Vec<Option<OwnedFd>>,
    /// The network namespace.
    pub netns: Option<OwnedFd>,
    /// The directory of the log.
    pub log: Option<OwnedFd>,
}

fn ends(
    attaches: &[(Attach, Fd)],
    channel: Fd,
    descriptors: &mut Descriptors,
) -> Result<Ends, Failure> {
    if attaches.len() > CLIENTS {
        return Err(Failure::invalid(format!("more than {CLIENTS} clients are attached")));
    }
    let clients = attaches
        .iter()
        .map(|(attach, fd)| Ok((attach.clone(), descriptors.take(*fd)?)))
        .collect::<Result<_, Failure>>()?;
    Ok(Ends { clients, channel: descriptors.take(channel)? })
}

impl Ends {
    /// Takes the descriptors of an exec.
    pub(crate) fn of_exec(exec: &Exec, mut descriptors: Descriptors) -> Result<Self, Failure> {
        ends(&exec.attaches, exec.channel, &mut descriptors)
    }

    /// The numbers of the descriptors.
    pub(crate) fn numbers(&self) -> Vec<RawFd> {
        let clients = self.clients.iter().map(|(_, fd)| fd.as_raw_fd());
        clients.chain([self.channel.as_raw_fd()]).collect()
    }
}

impl Launched {
    /// Takes the descriptors of a launch.
    pub(crate) fn of(launch: &Launch, mut descriptors: Descriptors) -> Result<Self, Failure> {
        if launch.mount_sources.len() != launch.spec.mounts.len() {
            return Err(Failure::invalid("there is not one source or none for each mount"));
        }
        let take = |fd: &Option<Fd>, descriptors: &mut Descriptors| {
            fd.map(|fd| descriptors.take(fd)).transpose()
        };
        let log = match &launch.log {
            Log::None => None,
            Log::JsonFile { directory, .. } => Some(*directory),
        };
        Ok(Self {
            ends: ends(&launch.attaches, launch.channel, &mut descriptors)?,
            rootfs: descriptors.take(launch.rootfs)?,
            sources: launch
                .mount_sources
                .iter()
                .map(|fd| take(fd, &mut descriptors))
                .collect::<Result<_, _>>()?,
            netns: take(&launch.netns, &mut descriptors)?,
            log: take(&log, &mut descriptors)?,
        })
    }

    /// The numbers of the descriptors.
    pub(crate) fn numbers(&self) -> Vec<RawFd> {
        let mut numbers = self.ends.numbers();
        numbers.push(self.rootfs.as_raw_fd());
        let others = self.sources.iter().flatten().chain(&self.netns).chain(&self.log);
        numbers.extend(others.map(AsRawFd::as_raw_fd));
        numbers
    }
}

fn class_of(error: &LogFileError) -> Class {
    match error {
        LogFileError::Name(_) | LogFileError::NotPlain(_) => Class::InvalidArgument,
        LogFileError::Kernel { .. } => Class::Internal,
    }
}

/// Opens the log that is asked for, in `directory`.
pub(crate) fn open_log(log: &Log, directory: Option<OwnedFd>) -> Result<Option<JsonLog>, Failure> {
    let (Log::JsonFile { name, max_size, max_files, attributes, .. }, Some(directory)) =
        (log, directory)
    else {
        return Ok(None);
    };
    let file = LogFile::open(directory, name, *max_size, *max_files)
        .map_err(|error| Failure::from_error(class_of(&error), &error))?;
    Ok(Some(JsonLog::new(file, attributes)))
}
