//! `/etc/passwd` and `/etc/group` as a hostile image has them: a start answers at once and says what is wrong.

use crate::attacker::{image, replace_by_link};
use e2e::Engine;
use std::path::Path;
use std::time::{Duration, Instant};

/// Long enough for any machine, and short beside a start that waits for ever.
const AT_ONCE: Duration = Duration::from_secs(20);

fn make(command: &str, root: &Path) {
    let done = std::process::Command::new("sh").args(["-c", command]).current_dir(root).status();
    assert!(done.unwrap().success(), "{command}");
}

/// Guard: `open_file` of `core/storage/src/paths.rs` looks before it opens, opens without waiting, and looks again.
#[test]
fn a_passwd_that_is_no_small_file_is_refused_at_once() {
    let engine = Engine::start();
    for (name, command) in [
        ("fifo", "mkfifo etc/passwd"),
        ("zero", "mknod etc/passwd c 1 5"),
        ("terminal", "mknod etc/passwd c 5 0"),
        ("directory", "mkdir etc/passwd"),
        ("sparse", "truncate -s 1G etc/passwd"),
        ("link-zero", "ln -s /dev/zero etc/passwd; mknod dev/zero c 1 5"),
        ("link-proc", "ln -s /proc/self/mem etc/passwd"),
        ("link-fd", "ln -s /proc/self/fd/0 etc/passwd"),
        ("link-loop", "ln -s passwd etc/passwd"),
    ] {
        image(&engine, name, |root| {
            std::fs::remove_file(root.join("etc/passwd")).unwrap();
            make(command, root);
        });
        let start = Instant::now();
        let said = engine.docker(&["run", "--rm", "-u", "user", name, "id", "-u"]);
        assert_ne!(said.code, 0, "{name}: {}", said.out);
        assert!(!said.err.contains("panic"), "{name}: {}", said.err);
        // A number needs no passwd, but to ignore what is there would be a guess.
        let number = engine.docker(&["run", "--rm", "-u", "1000:1000", name, "id", "-u"]);
        let is_right = number.code == 0 && number.out == "1000\n";
        assert!(is_right || number.err.contains("/etc/passwd"), "{name}: {}", number.err);
        assert!(start.elapsed() < AT_ONCE, "{name}");
    }
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
}

/// Guard: as above, for the file that is read by name on the host otherwise.
#[test]
fn a_passwd_that_is_a_link_out_of_the_image_does_not_read_the_host_s() {
    let engine = Engine::start();
    let host = tempfile::TempDir::new().unwrap();
    std::fs::write(host.path().join("passwd"), "fromhost:x:4321:4321::/:/bin/sh\n").unwrap();
    let path = host.path().join("passwd").display().to_string();
    for (name, target) in
        [("absolute", path.clone()), ("relative", format!("../../../../../..{path}"))]
    {
        image(&engine, name, |root| replace_by_link(root, "etc/passwd", &target));
        let said = engine.docker(&["run", "--rm", "-u", "fromhost", name, "id", "-u"]);
        assert_ne!(said.code, 0, "{name}: {}", said.out);
        assert!(said.err.contains("fromhost"), "{name}: {}", said.err);
    }
}

/// Guard: the parser of the engine takes a line only as a whole, and numbers only in their range.
#[test]
fn lines_that_are_no_entries_give_nobody_rights() {
    let engine = Engine::start();
    image(&engine, "lines", |root| {
        let mut passwd = Vec::new();
        for line in [
            &b"minus:x:-1:-1::/:/bin/sh\n"[..],
            b"large:x:4294967296:4294967296::/:/bin/sh\n",
            b"words:x:zero:zero::/:/bin/sh\n",
            b"short:x\n",
            b"empty:x::::/:\n",
            b":x:0:0::/:\n",
            b"\0zero:x:0:0::/:\n",
            b"\xff\xfe:x:0:0::/:\n",
            b"# comment:x:0:0::/:\n",
        ] {
            passwd.extend_from_slice(line);
        }
        passwd.extend(std::iter::repeat_n(b'a', 200_000));
        passwd.extend_from_slice(b"\nlast:x:77:78::/:/bin/sh");
        std::fs::write(root.join("etc/passwd"), passwd).unwrap();
        std::fs::write(root.join("etc/group"), b"\xff\nbroken\nlast:x:78\nmore:x:99:last,,last\n")
            .unwrap();
    });
    for user in ["minus", "large", "words", "short"] {
        let said = engine.docker(&["run", "--rm", "-u", user, "lines", "id", "-u"]);
        assert_ne!(said.code, 0, "{user}: {}", said.out);
    }
    let last = ["run", "--rm", "-u", "last", "lines", "sh", "-c", "id -u; id -g; id -G"];
    assert_eq!(engine.docker(&last).text(), "77\n78\n78 99");
}
