//! A process in a running container.

use crate::foreground::{self, Child, Signals};
use crate::root::{file, read_file, write_pid};
use crate::runtime::{Container, Runtime};
use crate::streams::{self, Preserved};
use crate::{Error, Id, Status, create, filter, home};
use cgroups::Group;
use launch::{
    CgroupJoin, Created, Extras, Host, Join, JoinDescriptors, Stdio, handover, namespaces_of,
};
use plan::{Given, ProcessPlan};
use rustix::fs::{Mode, OFlags};
use spec::oci::Process;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// What `exec` is told.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Who gets the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// The file that gets the process's number.
    pub pid_file: Option<PathBuf>,
    /// Who gets the process's pidfd.
    pub pidfd_socket: Option<PathBuf>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether to leave it once it runs.
    pub detach: bool,
    /// A file with the whole process; then nothing below counts but for the last four.
    pub process: Option<PathBuf>,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// The working directory.
    pub cwd: Option<String>,
    /// More environment.
    pub env: Vec<String>,
    /// `UID[:GID]`.
    pub user: Option<String>,
    /// More groups.
    pub additional_gids: Vec<u32>,
    /// The SELinux label.
    pub process_label: Option<String>,
    /// The AppArmor profile.
    pub apparmor: Option<String>,
    /// Whether no execve may gain a right.
    pub no_new_privs: bool,
    /// More capabilities.
    pub caps: Vec<String>,
    /// How many descriptors from 3 up the program gets.
    pub preserve_fds: u32,
    /// A group below the container's.
    pub cgroup: Option<String>,
    /// Whether a container that stands is joined all the same.
    pub ignore_paused: bool,
}

impl Runtime {
    /// Runs a process in the container; answers its status, or 0 at once if it is left alone.
    pub fn exec(&self, id: &Id, options: &ExecOptions) -> Result<u8, Error> {
        let preserved = streams::preserved(options.preserve_fds)?;
        let container = self.container(id)?;
        match container.status()? {
            Status::Stopped | Status::Creating => return Err(Error::ExecStopped),
            Status::Paused if !options.ignore_paused => return Err(Error::ExecPaused),
            _ => {}
        }
        let init = container.init().ok_or(Error::ExecStopped)?;
        let process = self.process(&container, options, &preserved)?;
        self.stage("read");
        let socket = |path: &Option<PathBuf>| path.as_deref().map(handover::connect_to).transpose();
        let console = socket(&options.console_socket)?;
        let pidfd = socket(&options.pidfd_socket)?;
        let signals = match options.detach {
            true => None,
            false => Some(Signals::take()?),
        };
        let created = self.join(&container, init, &process, options, preserved.fds)?;
        self.stage("join");
        if let (Some(socket), Some(master)) = (&console, created.console()) {
            handover::send(socket, "/dev/ptmx", master)?;
        }
        if let Some(socket) = &pidfd {
            handover::send(socket, "pidfd", created.pidfd().as_fd())?;
        }
        if let Some(path) = &options.pid_file {
            write_pid(path, created.pid())?;
        }
        let running = created.start()?;
        self.stage("start");
        let Some(signals) = signals else { return Ok(0) };
        let child = Child { pid: running.pid, pidfd: running.pidfd, console: running.console };
        foreground::wait(child, &signals)
    }

    /// The process that is asked for: the container's own with what is different.
    fn process(
        &self,
        container: &Container,
        options: &ExecOptions,
        preserved: &Preserved,
    ) -> Result<Process, Error> {
        let mut process = match &options.process {
            Some(path) => serde_json::from_slice(&read_file(path)?).map_err(|error| {
                Error::Syntax { object: path.display().to_string(), cause: error.to_string() }
            })?,
            None => changed(container.spec()?.process.unwrap_or_default(), options)?,
        };
        if process.args.is_empty() {
            return Err(Error::Usage("process args cannot be empty".to_owned()));
        }
        let usage = |text: &str| Err(Error::Usage(text.to_owned()));
        match (process.terminal, options.detach, &options.console_socket) {
            (true, true, None) => {
                return usage(
                    "cannot allocate tty if runc will detach without setting console socket",
                );
            }
            (false, _, Some(_)) | (true, false, Some(_)) => {
                return usage("cannot use console socket if runc will not detach or allocate tty");
            }
            _ => {}
        }
        if !home::is_named(&process.env) {
            let path = format!("/proc/{}/root", container.record.process.pid);
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let home = match rustix::fs::open(path, flags, Mode::empty()) {
                Ok(root) => home::of(root, process.user.uid),
                Err(_) => "HOME=/".to_owned(),
            };
            process.env.push(home);
        }
        process.env.extend(preserved.env.iter().cloned());
        Ok(process)
    }

    fn join(
        &self,
        container: &Container,
        init: OwnedFd,
        process: &Process,
        options: &ExecOptions,
        preserved: Vec<OwnedFd>,
    ) -> Result<Created, Error> {
        let host = Host::open()?;
        let filter = container.entry.read(file::FILTER)?.unwrap_or_default();
        let given = Given {
            filter: filter::decode(&filter),
            keyring: Some(format!("_ses.{}", container.record.id)),
            administrator: true,
            ..Given::default()
        };
        let plan = ProcessPlan::joining(process, &given)?;
        for name in &plan.unknown_caps {
            self.warn(&format!("ignoring unknown capability {name:?}"));
        }
        let group = self.group_for(container, options)?;
        let cgroup = match &group {
            Some(group) => group.join()?.into(),
            None => CgroupJoin::None,
        };
        self.stage("cgroup");
        let descriptors = JoinDescriptors {
            init,
            namespaces: namespaces_of(container.record.process.pid)?,
            stdio: if process.terminal { Stdio::Terminal } else { streams::own()? },
            cgroup,
        };
        let notifies = plan
            .filter
            .as_ref()
            .is_some_and(|(_, flags)| flags.contains(sys::seccomp::FilterFlags::NEW_LISTENER));
        let spec = if notifies { Some(container.spec()?) } else { None };
        let linux = spec.as_ref().and_then(|spec| spec.linux.as_ref());
        let extras = Extras {
            outlives: true,
            preserved,
            supervisor: create::supervisor(linux, &container.record)?,
            times: self.options.timings,
            ..Extras::default()
        };
        let created = Join::prepare_with(&host, plan, descriptors, extras)?.create()?;
        self.steps(&created.times());
        Ok(created)
    }

    fn group_for(
        &self,
        container: &Container,
        options: &ExecOptions,
    ) -> Result<Option<Group>, Error> {
        let (Some(group), Some(path)) = (container.group()?, &options.cgroup) else {
            return container.group();
        };
        // `CONTROLLERS:PATH`, or a path for all.
        let (controllers, path) = path.split_once(':').unwrap_or(("", path));
        let controllers: Vec<&str> =
            controllers.split(',').filter(|name| !name.is_empty()).collect();
        Ok(Some(group.below(path, &controllers)?))
    }
}

fn changed(mut process: Process, options: &ExecOptions) -> Result<Process, Error> {
    process.args = options.args.clone();
    if let Some(cwd) = &options.cwd {
        process.cwd = cwd.clone();
    }
    if let Some(profile) = &options.apparmor {
        process.apparmor_profile = Some(profile.clone());
    }
    if let Some(label) = &options.process_label {
        process.selinux_label = Some(label.clone());
    }
    if !options.caps.is_empty() {
        let caps = process.capabilities.get_or_insert_default();
        let sets = [
            &mut caps.bounding,
            &mut caps.effective,
            &mut caps.permitted,
            &mut caps.inheritable,
            &mut caps.ambient,
        ];
        for set in sets {
            set.extend(options.caps.iter().cloned());
        }
    }
    for entry in &options.env {
        // What is named again is replaced: programs take the first of two.
        if let Some((name, _)) = entry.split_once('=') {
            let prefix = format!("{name}=");
            process.env.retain(|known| !known.starts_with(&prefix));
        }
        process.env.push(entry.clone());
    }
    process.terminal = options.tty;
    process.console_size = None;
    process.no_new_privileges |= options.no_new_privs;
    if let Some(user) = &options.user {
        let number = |text: &str| {
            text.parse().map_err(|_| Error::value("--user", user, "UID or UID:GID in numbers"))
        };
        let (uid, gid) = match user.split_once(':') {
            Some((uid, gid)) => (uid, number(gid)?),
            None => (user.as_str(), process.user.gid),
        };
        (process.user.uid, process.user.gid) = (number(uid)?, gid);
    }
    process.user.additional_gids.extend(&options.additional_gids);
    Ok(process)
}
