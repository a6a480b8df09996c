//! Options of tmpfs mounts: Docker's defaults with the user's on top, the last of contradicting ones winning.

use spec::Failure;

/// Flags of mount(8), each with the group that it decides; the last one of a group wins.
const FLAGS: [(&str, &str); 27] = [
    ("ro", "ro"),
    ("rw", "ro"),
    ("suid", "suid"),
    ("nosuid", "suid"),
    ("dev", "dev"),
    ("nodev", "dev"),
    ("exec", "exec"),
    ("noexec", "exec"),
    ("sync", "sync"),
    ("async", "sync"),
    ("dirsync", "dirsync"),
    ("remount", "remount"),
    ("mand", "mand"),
    ("nomand", "mand"),
    ("atime", "atime"),
    ("noatime", "atime"),
    ("diratime", "diratime"),
    ("nodiratime", "diratime"),
    ("relatime", "relatime"),
    ("norelatime", "relatime"),
    ("strictatime", "strictatime"),
    ("nostrictatime", "strictatime"),
    ("private", "propagation"),
    ("rprivate", "propagation"),
    ("defaults", "defaults"),
    ("bind", "bind"),
    ("rbind", "bind"),
];

/// Names of `name=value` options that tmpfs has.
const VALUES: [&str; 7] = ["mode", "uid", "gid", "size", "nr_inodes", "nr_blocks", "mpol"];

/// The options of a tmpfs mount for which the user gave `data` (comma-separated, may be empty).
pub fn options(data: &str) -> Result<Vec<String>, Failure> {
    let mut all = vec!["noexec", "nosuid", "nodev", "rprivate"];
    all.extend(data.split(',').filter(|option| !option.is_empty()));
    let mut seen: Vec<&str> = Vec::new();
    let mut kept: Vec<String> = Vec::new();
    for option in all.into_iter().rev() {
        let group = match option.split_once('=') {
            Some((name, _)) => VALUES.iter().find(|known| **known == name).copied(),
            None => FLAGS.iter().find(|(flag, _)| *flag == option).map(|(_, group)| *group),
        };
        let Some(group) = group else {
            return Err(Failure::invalid(format!("invalid tmpfs option [{option:?}]")));
        };
        if !seen.contains(&group) {
            seen.push(group);
            if option != "defaults" {
                kept.push(option.to_owned());
            }
        }
    }
    kept.reverse();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_option_wins_over_the_default_and_the_last_over_the_first() {
        assert_eq!(options("").unwrap(), ["noexec", "nosuid", "nodev", "rprivate"]);
        assert_eq!(
            options("exec,size=1m,size=2m,mode=1777").unwrap(),
            ["nosuid", "nodev", "rprivate", "exec", "size=2m", "mode=1777"]
        );
    }

    #[test]
    fn an_option_that_tmpfs_lacks_is_refused() {
        assert_eq!(
            options("colour=red").unwrap_err().message,
            "invalid tmpfs option [\"colour=red\"]"
        );
        assert!(options("bogus").is_err());
    }
}
