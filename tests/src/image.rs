//! Images made on the spot: there is no registry that tests could pull from.

use std::path::Path;
use std::process::Command;

/// Makes a root file system from the machine's static busybox: all applets, passwd and group, the usual directories.
pub fn busybox_root(directory: &Path) {
    for name in ["bin", "etc", "tmp", "root", "var", "proc", "sys", "dev", "home"] {
        std::fs::create_dir_all(directory.join(name)).unwrap();
    }
    let busybox = directory.join("bin/busybox");
    std::fs::copy("/bin/busybox", &busybox).unwrap();
    // Not the copy: another thread that forks just now may still have it open for writing.
    let list = Command::new("/bin/busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines().filter(|name| *name != "busybox")
    {
        let link = directory.join("bin").join(applet);
        std::os::unix::fs::symlink("busybox", &link).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n\
                  nobody:x:65534:65534:nobody:/:/bin/false\n";
    std::fs::write(directory.join("etc/passwd"), passwd).unwrap();
    let group = "root:x:0:\nuser:x:1000:\nextra:x:2000:user\nnogroup:x:65534:\n";
    std::fs::write(directory.join("etc/group"), group).unwrap();
    let tmp: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    std::fs::set_permissions(directory.join("tmp"), tmp).unwrap();
}

/// Writes a tar of a directory.
pub fn tar(directory: &Path, archive: &Path) {
    let status = Command::new("tar")
        .args(["--sort=name", "--mtime=2026-01-01", "-C"])
        .arg(directory)
        .arg("-cf")
        .arg(archive)
        .arg(".")
        .status()
        .unwrap();
    assert!(status.success(), "tar {}", directory.display());
}

/// A tar of one file.
pub fn tar_of(name: &str, content: &str) -> Vec<u8> {
    let directory = tempfile::TempDir::new().unwrap();
    std::fs::write(directory.path().join(name), content).unwrap();
    let mut command = Command::new("tar");
    let output = command.arg("-C").arg(directory.path()).args(["-cf", "-", name]).output();
    output.unwrap().stdout
}

/// The archive that this machine takes its packages from, for debootstrap; nothing for debootstrap's own default.
pub fn debian_mirror() -> Option<String> {
    let mut texts = vec![std::fs::read_to_string("/etc/apt/sources.list").unwrap_or_default()];
    for entry in std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
        texts.push(std::fs::read_to_string(entry.path()).unwrap_or_default());
    }
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    words
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.ends_with("/debian"))
        .map(str::to_owned)
}
