//! CVE-2019-5736: the runtime's own file, run by a container and then written to.

use crate::attacker::{image, parent, pid};
use e2e::Engine;
use rustix::fs::{Mode, OFlags, SealFlags};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

/// An image whose program is the runtime: by a link, and as the interpreter of a script.
fn hostile(engine: &Engine) {
    image(engine, "self", |root| {
        std::os::unix::fs::symlink("/proc/self/exe", root.join("link")).unwrap();
        std::fs::write(root.join("script"), "#!/proc/self/exe\n").unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(root.join("script"), mode).unwrap();
    });
}

/// Stops each process that joins, lets it take small steps until its file can be opened, and then tries to write to the
/// file: by its name, and by a descriptor after the process has gone.
const WRITER: &str = r#"
while :; do
    read a b c d last </proc/loadavg
    for n in $((last + 1)) $last; do
        p=/proc/$n
        while [ $n != 1 ] && kill -STOP $n; do
            if true <$p/exe; then
                exec 9<$p/exe
                case $(readlink /proc/1/fd/9) in *busybox*) ;; *)
                    echo seen >>/tmp/seen
                    echo overwritten 1<>$p/exe && echo written >>/tmp/written
                    kill -CONT $n; kill -9 $n; while kill -0 $n; do :; done
                    echo overwritten 1<>/proc/1/fd/9 && echo written >>/tmp/written
                esac
                exec 9<&-
                kill -CONT $n
                break
            fi
            kill -CONT $n
        done
    done
done 2>/dev/null
"#;

fn program_on_disk() -> std::path::PathBuf {
    match std::env::var_os("COFFER_BIN") {
        Some(directory) => std::path::Path::new(&directory).join("coffer-shim"),
        None => {
            let own = std::env::current_exe().unwrap();
            own.parent().and_then(|deps| deps.parent()).unwrap().join("coffer-shim")
        }
    }
}

/// Guard: `shim` of `bin/cofferd/src/start.rs`, which runs the task worker, and with it every shim, from a
/// copy in memory that is sealed.
#[test]
fn the_shim_is_a_sealed_copy_that_no_container_can_name_or_change() {
    let engine = Engine::with_busybox();
    engine.docker(&["run", "-d", "--name", "one", "busybox", "sleep", "300"]).text();
    let shim = parent(pid(&engine, "one"));
    let file = format!("/proc/{shim}/exe");
    let opened = rustix::fs::open(&file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let seals = rustix::fs::fcntl_get_seals(&opened).unwrap();
    let wanted = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    assert!(seals.contains(wanted), "{seals:?}");
    let disk = std::fs::metadata(program_on_disk()).unwrap();
    let running = std::fs::metadata(&file).unwrap();
    assert_ne!((disk.dev(), disk.ino()), (running.dev(), running.ino()));
}

/// Guard: as above. The attacker runs as root in the container, beside programs that are the runtime itself.
#[test]
fn an_image_that_runs_the_runtime_cannot_write_to_it() {
    let engine = Engine::start();
    hostile(&engine);
    let disk = std::fs::read(program_on_disk()).unwrap();
    engine.docker(&["run", "-d", "--name", "writer", "self", "sh", "-c", WRITER]).text();
    let shim = format!("/proc/{}/exe", parent(pid(&engine, "writer")));
    let memory = std::fs::read(&shim).unwrap();
    for program in ["/link", "/script", "/proc/self/exe"] {
        for _ in 0..3 {
            // It is the shim that starts, without what it needs to do anything.
            assert_ne!(engine.docker(&["run", "--rm", "self", program]).code, 0, "{program}");
            engine.docker(&["exec", "writer", program]);
        }
    }
    let told = |name: &str| engine.docker(&["cp", &format!("writer:/tmp/{name}"), "-"]);
    assert_eq!(told("written").code, 1, "the attacker has written");
    assert_eq!(told("seen").code, 0, "the attacker never met the runtime");
    assert!(std::fs::read(&shim).unwrap() == memory, "the copy in memory has changed");
    assert!(std::fs::read(program_on_disk()).unwrap() == disk, "the file on disk has changed");
    let hello = ["run", "--rm", "self", "echo", "alive"];
    assert_eq!(engine.docker(&hello).ok(), "alive\n");
}
