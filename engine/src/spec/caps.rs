//! Which capabilities a container gets: Docker's fourteen, changed by `--cap-add`, `--cap-drop` and `--privileged`.

use spec::Failure;
use spec::linux::{CAPABILITIES, DEFAULT_CAPABILITIES};
use spec::oci::Capabilities;

const EVERY: &str = "ALL";

/// Upper case, with `CAP_`; each name once. Fails for a name that Linux does not have; `field` is named in the text.
pub fn normalize(field: &str, names: &[String]) -> Result<Vec<String>, Failure> {
    let mut known: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let upper = name.to_ascii_uppercase();
        let full = if upper == EVERY || upper.starts_with("CAP_") {
            upper
        } else {
            format!("CAP_{upper}")
        };
        if full != EVERY && !CAPABILITIES.contains(&full.as_str()) {
            return Err(Failure::invalid(format!("invalid {field}: unknown capability: {full:?}")));
        }
        if !known.contains(&full) {
            known.push(full);
        }
    }
    Ok(known)
}

/// The names that a container gets out of Docker's default.
pub fn granted(add: &[String], drop: &[String], privileged: bool) -> Result<Vec<String>, Failure> {
    let (add, drop) = (normalize("CapAdd", add)?, normalize("CapDrop", drop)?);
    let is = |list: &[String], name: &str| list.iter().any(|have| have == name);
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    if privileged {
        return Ok(owned(&CAPABILITIES));
    }
    if is(&add, EVERY) {
        return Ok(owned(&CAPABILITIES).into_iter().filter(|name| !is(&drop, name)).collect());
    }
    if is(&drop, EVERY) {
        return Ok(add);
    }
    let mut names: Vec<String> =
        owned(&DEFAULT_CAPABILITIES).into_iter().filter(|name| !is(&drop, name)).collect();
    for name in add {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The five sets. A user who is not root gets only the bounding set, as execve leaves it; nothing is inheritable or
/// ambient (CVE-2022-29162).
pub fn sets(names: Vec<String>, uid: u32) -> Capabilities {
    if uid == 0 {
        Capabilities {
            bounding: names.clone(),
            effective: names.clone(),
            permitted: names,
            ..Capabilities::default()
        }
    } else {
        Capabilities { bounding: names, ..Capabilities::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_default_is_dockers_fourteen() {
        assert_eq!(granted(&[], &[], false).unwrap(), texts(&DEFAULT_CAPABILITIES));
    }

    #[test]
    fn add_all_leaves_out_what_is_dropped() {
        let names = granted(&texts(&["all"]), &texts(&["sys_admin"]), false).unwrap();
        assert_eq!(names.len(), 40);
        assert!(!names.iter().any(|name| name == "CAP_SYS_ADMIN"));
    }

    #[test]
    fn drop_all_keeps_only_what_is_added() {
        let names = granted(&texts(&["net_admin", "CAP_CHOWN"]), &texts(&["ALL"]), false).unwrap();
        assert_eq!(names, ["CAP_NET_ADMIN", "CAP_CHOWN"]);
    }

    #[test]
    fn privileged_gets_everything_whatever_is_dropped() {
        assert_eq!(granted(&[], &texts(&["ALL"]), true).unwrap().len(), 41);
    }

    #[test]
    fn an_unknown_name_is_refused_in_dockers_words() {
        let failure = granted(&texts(&["fly"]), &[], false).unwrap_err();
        assert_eq!(failure.message, "invalid CapAdd: unknown capability: \"CAP_FLY\"");
        let failure = granted(&[], &texts(&["CAP_FLY"]), false).unwrap_err();
        assert_eq!(failure.message, "invalid CapDrop: unknown capability: \"CAP_FLY\"");
    }

    #[test]
    fn another_user_than_root_gets_the_bounding_set_only() {
        let sets = sets(texts(&["CAP_KILL"]), 1000);
        assert_eq!(sets.bounding, ["CAP_KILL"]);
        assert!(sets.effective.is_empty() && sets.permitted.is_empty() && sets.ambient.is_empty());
    }
}
