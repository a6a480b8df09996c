//! `--security-opt`: seccomp, no-new-privileges, system paths; labels and AppArmor where the kernel has neither.

use messages::task::Seccomp;
use spec::Failure;

/// What the options of a container come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Security {
    /// Whether execve never gains a right.
    pub no_new_privileges: bool,
    /// The system call filter; nothing for the engine's default.
    pub seccomp: Option<Seccomp>,
    /// Whether the kernel's system paths are left as they are.
    pub open_paths: bool,
    /// Whether `/sys/fs/cgroup` may be written; nothing for what `--privileged` says.
    pub writable_cgroups: Option<bool>,
}

/// Reads the options; `no_new_privileges` is the engine's default.
pub fn parse(options: &[String], no_new_privileges: bool) -> Result<Security, Failure> {
    let mut security =
        Security { no_new_privileges, seccomp: None, open_paths: false, writable_cgroups: None };
    for option in options {
        match option.as_str() {
            "no-new-privileges" => security.no_new_privileges = true,
            "writable-cgroups" => security.writable_cgroups = Some(true),
            "disable" => {}
            pair => {
                let separated = pair.split_once('=').or_else(|| pair.split_once(':'));
                let Some((key, value)) = separated else { return Err(wrong(1, option)) };
                apply(&mut security, key, value, option)?;
            }
        }
    }
    Ok(security)
}

fn apply(security: &mut Security, key: &str, value: &str, option: &str) -> Result<(), Failure> {
    let flag = || match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(wrong(2, option)),
    };
    match key {
        // Without SELinux or AppArmor in the kernel a label or profile has no effect, as in Docker.
        "label" | "apparmor" => {}
        "seccomp" => security.seccomp = Some(seccomp(value)?),
        "no-new-privileges" => security.no_new_privileges = flag()?,
        "writable-cgroups" => security.writable_cgroups = Some(flag()?),
        "systempaths" if value == "unconfined" => security.open_paths = true,
        _ => return Err(wrong(2, option)),
    }
    Ok(())
}

/// Reads the value of `seccomp=`: a word, or the text of a profile (the client reads the file).
pub fn seccomp(value: &str) -> Result<Seccomp, Failure> {
    match value {
        "unconfined" => Ok(Seccomp::Unconfined),
        "builtin" | "" => Ok(Seccomp::Default),
        text => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(serde_json::Value::Object(_)) => Ok(Seccomp::Profile(text.to_owned())),
            Ok(_) => Err(Failure::invalid("Decoding seccomp profile failed: not an object")),
            Err(error) => {
                Err(Failure::invalid(format!("Decoding seccomp profile failed: {error}")))
            }
        },
    }
}

fn wrong(number: u8, option: &str) -> Failure {
    let shown: String = option.chars().take(200).collect();
    Failure::invalid(format!("invalid --security-opt {number}: {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(options: &[&str]) -> Result<Security, Failure> {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        parse(&options, false)
    }

    #[test]
    fn the_known_options_are_read() {
        assert!(parsed(&["no-new-privileges"]).unwrap().no_new_privileges);
        assert!(!parsed(&["no-new-privileges:false"]).unwrap().no_new_privileges);
        assert_eq!(parsed(&["seccomp=unconfined"]).unwrap().seccomp, Some(Seccomp::Unconfined));
        assert_eq!(parsed(&["seccomp=builtin"]).unwrap().seccomp, Some(Seccomp::Default));
        assert!(matches!(parsed(&["seccomp={}"]).unwrap().seccomp, Some(Seccomp::Profile(_))));
        assert!(
            parsed(&["systempaths=unconfined", "label=disable", "apparmor=unconfined"])
                .unwrap()
                .open_paths
        );
    }

    #[test]
    fn wrong_options_are_refused_in_dockers_words() {
        assert_eq!(parsed(&["x"]).unwrap_err().message, "invalid --security-opt 1: \"x\"");
        assert_eq!(parsed(&["x=y"]).unwrap_err().message, "invalid --security-opt 2: \"x=y\"");
        assert_eq!(
            parsed(&["no-new-privileges=maybe"]).unwrap_err().message,
            "invalid --security-opt 2: \"no-new-privileges=maybe\""
        );
        assert!(
            parsed(&["seccomp={"])
                .unwrap_err()
                .message
                .starts_with("Decoding seccomp profile failed: ")
        );
    }
}
