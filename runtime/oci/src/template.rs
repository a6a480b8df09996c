//! The specification to begin with: `spec`.
//!
//! The file is what runc writes, field for field and in the same order, so that scripts that edit it go on working.

use crate::Error;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
];

const READONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Destination, type, source, options.
type Mount = (&'static str, &'static str, &'static str, &'static [&'static str]);

const CGROUP: Mount =
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);

const MOUNTS: [Mount; 7] = [
    ("/proc", "proc", "proc", &[]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    CGROUP,
];

/// Text with a tab for each level, as Go's encoder indents.
#[derive(Default)]
struct Writer {
    text: String,
    level: usize,
    /// Whether the next value follows another one.
    follows: bool,
}

impl Writer {
    fn begin(&mut self, name: Option<&str>) {
        if self.follows {
            self.text.push(',');
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.extend(std::iter::repeat_n('\t', self.level));
        if let Some(name) = name {
            // Writing into memory cannot fail.
            write!(self.text, "{}: ", quoted(name)).unwrap_or_default();
        }
        self.follows = true;
    }

    fn raw(&mut self, name: Option<&str>, value: &str) {
        self.begin(name);
        self.text.push_str(value);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(Some(name), &quoted(value));
    }

    fn nested(&mut self, name: Option<&str>, braces: [char; 2], fill: impl FnOnce(&mut Self)) {
        self.begin(name);
        self.text.push(braces[0]);
        self.level += 1;
        self.follows = false;
        fill(self);
        self.level -= 1;
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n('\t', self.level));
        self.text.push(braces[1]);
        self.follows = true;
    }

    fn object(&mut self, name: Option<&str>, fill: impl FnOnce(&mut Self)) {
        self.nested(name, ['{', '}'], fill);
    }

    fn list(&mut self, name: &str, values: &[&str]) {
        self.nested(Some(name), ['[', ']'], |writer| {
            values.iter().for_each(|value| writer.raw(None, &quoted(value)));
        });
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The specification; `ids`: the user and group of a container for a user without rights.
fn template(ids: Option<(u32, u32)>) -> String {
    let mut writer = Writer::default();
    writer.object(None, |spec| {
        spec.text("ociVersion", crate::record::OCI_VERSION);
        spec.object(Some("process"), process);
        spec.object(Some("root"), |root| {
            root.text("path", "rootfs");
            root.raw(Some("readonly"), "true");
        });
        spec.text("hostname", "runc");
        spec.nested(Some("mounts"), ['[', ']'], |list| mounts(list, ids.is_some()));
        spec.object(Some("linux"), |part| linux(part, ids));
    });
    writer.text
}

fn process(process: &mut Writer) {
    process.raw(Some("terminal"), "true");
    process.object(Some("user"), |user| {
        user.raw(Some("uid"), "0");
        user.raw(Some("gid"), "0");
    });
    process.list("args", &["sh"]);
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    process.list("env", &[path, "TERM=xterm"]);
    process.text("cwd", "/");
    process.object(Some("capabilities"), |caps| {
        ["bounding", "effective", "permitted"].iter().for_each(|set| caps.list(set, &CAPABILITIES));
    });
    process.nested(Some("rlimits"), ['[', ']'], |list| {
        list.object(None, |limit| {
            limit.text("type", "RLIMIT_NOFILE");
            limit.raw(Some("hard"), "1024");
            limit.raw(Some("soft"), "1024");
        });
    });
    process.raw(Some("noNewPrivileges"), "true");
}

fn mounts(list: &mut Writer, rootless: bool) {
    for (destination, kind, source, options) in MOUNTS {
        let mut options = options.to_vec();
        let (mut kind, mut source) = (kind, source);
        if rootless {
            // Group 5 is not mapped, and sysfs belongs to who owns the network namespace.
            options.retain(|option| *option != "gid=5");
            if destination == "/sys" {
                (kind, source) = ("none", "/sys");
                options.insert(0, "rbind");
            }
        }
        list.object(None, |mount| {
            mount.text("destination", destination);
            mount.text("type", kind);
            mount.text("source", source);
            if !options.is_empty() {
                mount.list("options", &options);
            }
        });
    }
}

fn linux(linux: &mut Writer, ids: Option<(u32, u32)>) {
    let mut namespaces = vec!["pid", "network", "ipc", "uts", "mount", "cgroup"];
    match ids {
        Some((uid, gid)) => {
            for (name, id) in [("uidMappings", uid), ("gidMappings", gid)] {
                linux.nested(Some(name), ['[', ']'], |list| {
                    list.object(None, |map| {
                        map.raw(Some("containerID"), "0");
                        map.raw(Some("hostID"), &id.to_string());
                        map.raw(Some("size"), "1");
                    });
                });
            }
            namespaces.retain(|name| *name != "network");
            namespaces.push("user");
        }
        None => linux.object(Some("resources"), |resources| {
            resources.nested(Some("devices"), ['[', ']'], |list| {
                list.object(None, |rule| {
                    rule.raw(Some("allow"), "false");
                    rule.text("access", "rwm");
                });
            });
        }),
    }
    linux.nested(Some("namespaces"), ['[', ']'], |list| {
        namespaces.iter().for_each(|name| list.object(None, |entry| entry.text("type", name)));
    });
    linux.list("maskedPaths", &MASKED);
    linux.list("readonlyPaths", &READONLY);
}

/// Writes `config.json` into the bundle; one that is there is not touched.
pub fn write_template(bundle: &Path, rootless: bool) -> Result<(), Error> {
    let ids = rootless
        .then(|| (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
    let path = bundle.join("config.json");
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = "File config.json exists. Remove it first";
            return Err(Error::Usage(text.to_owned()));
        }
        other => other.map_err(Error::file("create", &path))?,
    };
    file.write_all(template(ids).as_bytes()).map_err(Error::file("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::oci::Spec;

    #[test]
    fn the_template_is_a_specification_and_the_rootless_one_has_a_user_namespace() {
        let spec: Spec = serde_json::from_str(&template(None)).unwrap();
        assert_eq!(spec.process.unwrap().args, ["sh"]);
        assert_eq!(spec.mounts.len(), 7);
        assert_eq!(spec.linux.unwrap().namespaces.len(), 6);
        let spec: Spec = serde_json::from_str(&template(Some((1000, 100)))).unwrap();
        let linux = spec.linux.unwrap();
        assert!(linux.namespaces.iter().any(|namespace| namespace.kind == "user"));
        assert_eq!(linux.uid_mappings[0].host_id, 1000);
        assert_eq!(linux.gid_mappings[0].host_id, 100);
        assert!(linux.resources.is_none());
    }
}
