//! The program of the image `hello-world`'s place: it says that everything works, and what to try next.

#![forbid(unsafe_code)]

use std::process::ExitCode;

const GREETING: &str = "
Hello from Coffer!

You see this because every part did its work: the client asked the daemon, the daemon found the image and laid its
files out, gave the container a network address and limits of its own, and started this small program in it. What the
program wrote came back to your terminal, and now that it ends, the container ends too.

Next, try something larger. Any root file system in a tar becomes an image: coffer import rootfs.tar mine
An interactive shell in it: coffer run -it --rm mine sh
And coffer help lists everything else.

";

fn main() -> ExitCode {
    let mut rest = GREETING.as_bytes();
    while !rest.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::write(rustix::stdio::stdout(), rest)) {
            Ok(written @ 1..) => rest = &rest[written..],
            _ => return ExitCode::FAILURE,
        }
    }
    ExitCode::SUCCESS
}
