//! The life of a shim: one thread, one poll loop, from the start of a process until its exit is acknowledged.
//!
//! ```text
//!   running ──process ends──> draining ──streams end, or 2 s──> reported ──Acknowledge──> over
//!                             (exit is in `exit`)               (Exited is sent)
//! ```
//!
//! Nothing here grows without bound: a client that does not read gets [`QUEUE`] bytes, then output waits for it, as it
//! does with Docker; a client that has closed is dropped at once. Input waits likewise for a process that does not read.

use crate::channels::Channels;
use crate::client::{Client, Input, Phase, QUEUE};
use crate::log::{JsonLog, Stream};
use crate::poll::{Interest, Token, wait};
use crate::state::TaskDir;
use crate::stdin::Stdin;
use crate::task::{Source, Task, connect};
use crate::{Containment, stamp};
use messages::shim::{Attach, Event, Exit, Request};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::sockopt::socket_type;
use rustix::net::{SocketFlags, SocketType};
use std::os::fd::{AsFd, OwnedFd};
use transport::Descriptors;

/// Bytes that one read takes: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// What a client's queue may grow by once the process has ended, when only the rest in the pipes is to come.
const REST: usize = 512 * 1024;
/// Attached clients at once.
const CLIENTS: usize = 128;

const SECOND: i64 = 1_000_000_000;
/// How long output is waited for after the process has ended, when processes that it left behind keep the pipe open
/// (dockerd's `StreamConfig.Wait` has the same limit).
const DRAIN: i64 = 2 * SECOND;
/// How long a client may take nothing of what is queued for it after the end.
const LINGER: i64 = 10 * SECOND;
/// How long buffers are kept while nothing happens.
const IDLE: i64 = SECOND;
/// How often an ended shim without engine looks whether its record is gone.
const ORPHAN: i64 = 30 * SECOND;

/// Looks after the process until its exit has been acknowledged.
pub fn supervise(task: Task, containment: &mut impl Containment) {
    let mut shim = Shim::new(task);
    loop {
        shim.turn(containment);
        if shim.is_over() {
            return;
        }
    }
}

#[derive(Debug)]
struct Shim {
    pid: i32,
    pidfd: OwnedFd,
    started_at: i64,
    sources: Vec<Source>,
    /// The master and what keeps it alive.
    terminal: Option<(OwnedFd, Option<OwnedFd>)>,
    stdin: Stdin,
    stdin_once: bool,
    log: Option<JsonLog>,
    clients: Vec<Client>,
    channels: Channels,
    listener: Option<OwnedFd>,
    directory: TaskDir,
    /// Closed with the shim, behind all else: see [`Task::rootfs`].
    _rootfs: Option<OwnedFd>,
    exit: Option<Exit>,
    /// `Exited` has been sent.
    reported: bool,
    acknowledged: bool,
    /// When the streams are given up; set by the exit.
    drain_until: i64,
    /// When clients are given up, and how much they had taken when that was set; set by the report.
    linger: (i64, u64),
    loss_reported: i64,
    buffer: Vec<u8>,
}

impl Shim {
    fn new(task: Task) -> Self {
        let (sources, terminal, stdin) = connect(task.streams);
        let mut shim = Self {
            pid: task.pid,
            pidfd: task.pidfd,
            started_at: task.started_at,
            sources,
            terminal,
            stdin: Stdin::new(stdin),
            stdin_once: task.stdin_once,
            log: task.log,
            clients: Vec::new(),
            channels: Channels::default(),
            listener: task.listener,
            directory: task.directory,
            _rootfs: task.rootfs,
            exit: None,
            reported: false,
            acknowledged: false,
            drain_until: i64::MAX,
            linger: (i64::MAX, 0),
            loss_reported: 0,
            buffer: Vec::new(),
        };
        if let Some(socket) = task.channel {
            shim.channels.add(socket, &shim.status());
        }
        for (attach, stream) in task.clients {
            shim.attach(attach, stream);
        }
        shim
    }

    fn status(&self) -> Event {
        let exit = if self.reported { self.exit } else { None };
        Event::Status { pid: self.pid, started_at: self.started_at, exit }
    }

    /// Waits for something and handles all that has happened.
    fn turn(&mut self, containment: &mut impl Containment) {
        let mut interests = Vec::with_capacity(8 + self.clients.len());
        self.list_interests(&mut interests, containment);
        let deadline = self.deadline(stamp::monotonic());
        let ready = wait(&interests, deadline.saturating_sub(stamp::monotonic()));
        drop(interests);
        let idle = ready.is_empty();
        for (token, flags) in ready {
            match token {
                Token::Process => self.process_ended(containment),
                Token::Memory => {
                    if containment.killed_for_memory() {
                        self.channels.send(&Event::OutOfMemory);
                    }
                }
                Token::Source(position) => self.read_source(position),
                Token::Stdin if flags.contains(PollFlags::OUT) => self.stdin.flush(),
                Token::Stdin => self.stdin.abandon(),
                Token::Client(position) => self.serve_client(position, flags),
                Token::Channel(position) => self.serve_channel(position, flags),
                Token::Listener => self.accept(),
            }
        }
        self.settle(stamp::monotonic(), idle);
    }

    fn list_interests<'a>(
        &'a self,
        interests: &mut Vec<Interest<'a>>,
        containment: &'a impl Containment,
    ) {
        let mut add = |token, fd, flags| interests.push(Interest { token, fd, flags });
        if let Some(fd) = containment.memory_event() {
            add(Token::Memory, fd, PollFlags::IN | PollFlags::PRI);
        }
        for (position, source) in self.sources.iter().enumerate() {
            if let Some(fd) = &source.fd
                && !self.is_blocked(source.stream)
            {
                add(Token::Source(position), fd.as_fd(), PollFlags::IN);
            }
        }
        if self.exit.is_none() {
            add(Token::Process, self.pidfd.as_fd(), PollFlags::IN);
        }
        let has_room = self.stdin.has_room();
        if let Some(fd) = self.stdin.target()
            && (self.terminal.is_none() || !has_room)
        {
            add(Token::Stdin, fd, if has_room { PollFlags::empty() } else { PollFlags::OUT });
        }
        for (position, client) in self.clients.iter().enumerate() {
            if let Some((fd, flags)) = client.interest(has_room) {
                add(Token::Client(position), fd, flags);
            }
        }
        for (position, (fd, waiting)) in self.channels.polled().enumerate() {
            let flags = if waiting { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            add(Token::Channel(position), fd, flags);
        }
        if let Some(listener) = &self.listener {
            add(Token::Listener, listener.as_fd(), PollFlags::IN);
        }
    }

    /// Whether output of `stream` waits for a client.
    fn is_blocked(&self, stream: Stream) -> bool {
        let limit = if self.exit.is_some() { QUEUE + REST } else { QUEUE };
        self.clients.iter().any(|client| client.wants(stream) && client.is_full(limit))
    }

    /// The next time at which something is to be done although nothing happens.
    fn deadline(&self, now: i64) -> i64 {
        let mut deadline = i64::MAX;
        let mut at = |time: i64| deadline = deadline.min(time);
        if !self.buffer.is_empty() {
            at(now + IDLE);
        }
        if self.log.as_ref().is_some_and(JsonLog::has_lost) && !self.channels.is_empty() {
            at(self.loss_reported + SECOND);
        }
        if self.reported {
            if !self.clients.is_empty() {
                at(self.linger.0);
            }
            if self.channels.is_empty() {
                at(now + ORPHAN);
            }
        } else if self.exit.is_some() {
            at(self.drain_until);
        }
        deadline
    }

    /// What follows from what has happened.
    fn settle(&mut self, now: i64, idle: bool) {
        if self.exit.is_some() && !self.reported {
            if now >= self.drain_until {
                self.give_up_sources();
            }
            if self.sources.iter().all(|source| source.fd.is_none()) {
                self.report(now);
            }
        }
        if self.reported {
            self.linger(now);
        }
        self.report_loss(now, SECOND);
        self.sweep_clients();
        self.channels.sweep();
        if idle && !self.buffer.is_empty() {
            self.buffer = Vec::new();
            if let Some(log) = &mut self.log {
                log.shrink();
            }
            sys::memory::trim();
        }
    }

    fn is_over(&self) -> bool {
        let wanted = self.acknowledged || self.channels.is_empty() && self.directory.is_removed();
        self.reported && wanted && self.clients.is_empty()
    }

    // ----- the process and its output -----

    fn process_ended(&mut self, containment: &mut impl Containment) {
        let code = match sys::pidfd::try_wait(&self.pidfd) {
            Ok(Some(exit)) => i32::from(exit.status()),
            Ok(None) => return,
            // Nobody else can have reaped our child; 255 is what Docker shows for a status that is lost.
            Err(_) => 255,
        };
        let at = stamp::now();
        containment.process_ended();
        let oom_killed = containment.killed_for_memory();
        if oom_killed {
            self.channels.send(&Event::OutOfMemory);
        }
        let exit = Exit { code, oom_killed: containment.has_killed_for_memory(), at };
        self.exit = Some(exit);
        // Without room for the file the engine is still told, as long as this shim lives.
        self.directory.write_exit(&exit).ok();
        self.stdin.abandon();
        if let Some((_, slave)) = &mut self.terminal {
            *slave = None;
        }
        self.drain_until = stamp::monotonic() + DRAIN;
    }

    fn read_source(&mut self, position: usize) {
        let Some(source) = self.sources.get(position) else { return };
        let (Some(fd), stream) = (&source.fd, source.stream) else { return };
        self.buffer.resize(CHUNK, 0);
        match rustix::io::read(fd, &mut self.buffer[..]) {
            Ok(0) => self.close_source(position),
            Ok(count) => self.deliver(stream, count),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // EIO: the last descriptor of a terminal's other side is closed.
            Err(_) => self.close_source(position),
        }
    }

    /// Hands the first `count` bytes of the buffer on.
    fn deliver(&mut self, stream: Stream, count: usize) {
        let chunk = &self.buffer[..count];
        if let Some(log) = &mut self.log {
            log.write(stream, chunk, stamp::now());
        }
        for client in &mut self.clients {
            if client.wants(stream) {
                client.push(stream, chunk);
            }
        }
    }

    fn close_source(&mut self, position: usize) {
        let Some(source) = self.sources.get_mut(position) else { return };
        source.fd = None;
        if let Some(log) = &mut self.log {
            log.finish(source.stream, stamp::now());
        }
    }

    /// Takes what is there and waits no longer.
    fn give_up_sources(&mut self) {
        for position in 0..self.sources.len() {
            // As many reads as a pipe of the largest default size needs, so that a writer cannot keep us here.
            for _ in 0..16 {
                self.read_source(position);
            }
            if self.sources.get(position).is_some_and(|source| source.fd.is_some()) {
                self.close_source(position);
            }
        }
    }

    fn report(&mut self, now: i64) {
        let Some(exit) = self.exit else { return };
        self.report_loss(now, 0);
        self.reported = true;
        self.channels.send(&Event::Exited(exit));
        for client in &mut self.clients {
            client.leave(false);
        }
        self.terminal = None;
        self.linger = (now + LINGER, self.taken());
    }

    fn taken(&self) -> u64 {
        self.clients.iter().map(Client::taken).sum()
    }

    /// After the end: lets clients take what is queued for them, as long as they take some of it.
    fn linger(&mut self, now: i64) {
        let taken = self.taken();
        if taken != self.linger.1 {
            self.linger = (now + LINGER, taken);
        }
        if now >= self.linger.0 {
            self.clients.clear();
        }
    }

    fn report_loss(&mut self, now: i64, interval: i64) {
        let Some(log) = &mut self.log else { return };
        let due = now >= self.loss_reported.saturating_add(interval);
        if log.has_lost() && due && !self.channels.is_empty() {
            self.loss_reported = now;
            self.channels.send(&Event::LogLost { bytes: log.take_lost() });
        }
    }

    // ----- clients -----

    fn attach(&mut self, attach: Attach, stream: OwnedFd) {
        let number = attach.number;
        let stdin = self.stdin.is_open();
        let client = match self.clients.len() {
            CLIENTS.. => None,
            _ if self.reported => None,
            _ => Client::new(attach, stream, self.terminal.is_some(), stdin),
        };
        match client {
            Some(client) => self.clients.push(client),
            None => self.channels.send(&Event::Detached { number, by_keys: false }),
        }
    }

    fn serve_client(&mut self, position: usize, flags: PollFlags) {
        let Some(client) = self.clients.get_mut(position) else { return };
        if flags.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            client.hang_up();
        }
        if flags.contains(PollFlags::OUT) {
            client.flush();
        }
        // Two clients may be ready in one turn; the second waits if the first has filled the way.
        let can_read = self.stdin.has_room() || !client.feeds_stdin();
        if client.is_readable() && can_read && flags.intersects(PollFlags::IN | PollFlags::HUP) {
            self.buffer.resize(CHUNK, 0);
            let mut passed = Vec::new();
            let input = client.receive(&mut self.buffer, &mut passed);
            self.stdin.push(&passed);
            match input {
                Input::Nothing | Input::Bytes => {}
                Input::Detach => client.leave(true),
                Input::End if self.stdin_once && self.terminal.is_none() => self.stdin.close(),
                // As dockerd: a client that has said all of its input is done, unless stdin ends with it.
                Input::End => client.leave(false),
            }
        }
    }

    fn sweep_clients(&mut self) {
        let Self { clients, channels, reported, .. } = self;
        clients.retain(|client| match client.phase() {
            Phase::Gone { by_keys } => {
                if !*reported {
                    channels.send(&Event::Detached { number: client.number(), by_keys });
                }
                false
            }
            Phase::Attached | Phase::Leaving { .. } => true,
        });
    }

    // ----- engines -----

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        if let Ok(socket) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC) {
            self.channels.add(socket, &self.status());
        }
    }

    fn serve_channel(&mut self, position: usize, flags: PollFlags) {
        if flags.contains(PollFlags::OUT) {
            self.channels.flush(position);
        }
        if !flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        if let Some((request, descriptors)) = self.channels.receive(position) {
            self.obey(request, descriptors);
        }
    }

    fn obey(&mut self, request: Request, mut descriptors: Descriptors) {
        match request {
            Request::Attach { attach, stream } => match descriptors.take(stream) {
                // What is written to a datagram socket shows its reader that root wrote it.
                Ok(stream) if socket_type(&stream) == Ok(SocketType::STREAM) => {
                    self.attach(attach, stream);
                }
                _ => {
                    let number = attach.number;
                    self.channels.send(&Event::Detached { number, by_keys: false });
                }
            },
            Request::Resize { width, height } => self.resize(width, height),
            Request::CloseStdin if self.terminal.is_none() => self.stdin.close(),
            // A terminal has no end of input that could be told apart from what a user types.
            Request::CloseStdin => {}
            Request::Acknowledge => self.acknowledged = true,
        }
    }

    fn resize(&self, width: u16, height: u16) {
        if let Some((master, _)) = &self.terminal {
            let size = rustix::termios::Winsize {
                ws_row: height,
                ws_col: width,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            // Fails only when the terminal has been hung up, and then has no size.
            rustix::termios::tcsetwinsize(master, size).ok();
        }
    }
}
