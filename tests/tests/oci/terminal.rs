//! Descriptors that are handed to who waits for them.

use crate::rig::{Rig, finish};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::json;
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

/// What arrives on the next connection: the text and the descriptor beside it.
fn receive(listener: &UnixListener) -> (String, OwnedFd) {
    let (stream, _) = listener.accept().unwrap();
    let mut text = [0u8; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut text)];
    let received = recvmsg(&stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    (String::from_utf8_lossy(&text[..received.bytes]).into_owned(), fd.unwrap())
}

#[test]
fn the_console_socket_gets_the_master_and_the_pidfd_socket_the_process() {
    let rig = Rig::new(&["sh", "-c", "stty size; read line; echo got $line"]);
    let id = rig.id("a");
    rig.change(|spec| {
        spec["process"]["terminal"] = json!(true);
        spec["process"]["consoleSize"] = json!({"height": 40, "width": 100});
    });
    let bundle = rig.text("bundle");
    let said = rig.call(&["create", "--bundle", &bundle, &id]);
    let wanted = "cannot allocate tty if runc will detach without setting console socket";
    assert!(said.errors().ends_with(wanted), "{}", said.err);
    let console = UnixListener::bind(rig.path("console")).unwrap();
    let pidfd = UnixListener::bind(rig.path("pidfd")).unwrap();
    let sockets = (rig.text("console"), rig.text("pidfd"));
    let mut create = rig.command(&["create", "--console-socket", &sockets.0, "--pidfd-socket"]);
    create.args([&sockets.1, "--bundle", &bundle, &id]);
    let create = create.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (name, master) = receive(&console);
    assert_eq!(name, "/dev/ptmx");
    let (_, process) = receive(&pidfd);
    assert!(finish(create).status.success());
    rig.call(&["start", &id]).text();
    let mut master = File::from(master);
    master.write_all(b"x\n").unwrap();
    let mut output = Vec::new();
    // The terminal answers EIO when nobody has its other side.
    master.read_to_end(&mut output).unwrap_err();
    let output = String::from_utf8_lossy(&output).replace('\r', "");
    assert!(output.contains("40 100\n") && output.contains("got x\n"), "{output:?}");
    let mut fds = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut fds, None), Ok(1), "the process has ended");
    rig.call(&["delete", &id]).text();
}
