//! `--ulimit`.

use api_types::host::Ulimit;
use spec::Failure;
use spec::linux::LIMITS;
use spec::oci::Rlimit;

/// Checks one limit's name and that its soft value is not above the hard one.
pub fn check(limit: &Ulimit) -> Result<(), Failure> {
    if !LIMITS.contains(&limit.name.as_str()) {
        return Err(Failure::invalid(format!("invalid ulimit type: {}", limit.name)));
    }
    if limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard) {
        return Err(Failure::invalid(format!(
            "ulimit soft limit must be less than or equal to hard limit: {} > {}",
            limit.soft, limit.hard
        )));
    }
    Ok(())
}

/// The limits of a container: its own, and the engine's for the names that it does not set.
pub fn rlimits(own: &[Ulimit], engine: &[Ulimit]) -> Vec<Rlimit> {
    let missing = engine.iter().filter(|limit| !own.iter().any(|have| have.name == limit.name));
    own.iter().chain(missing).map(rlimit).collect()
}

fn rlimit(limit: &Ulimit) -> Rlimit {
    // -1 is no limit, which the kernel writes as all bits set.
    let value = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    Rlimit {
        kind: format!("RLIMIT_{}", limit.name.to_ascii_uppercase()),
        hard: value(limit.hard),
        soft: value(limit.soft),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, soft: i64, hard: i64) -> Ulimit {
        Ulimit { name: name.into(), soft, hard }
    }

    #[test]
    fn the_engines_limits_fill_in_what_the_container_leaves_out() {
        let limits =
            rlimits(&[limit("nofile", 10, 20)], &[limit("nofile", 1, 1), limit("core", -1, -1)]);
        let texts: Vec<_> =
            limits.iter().map(|l| format!("{} {} {}", l.kind, l.soft, l.hard)).collect();
        assert_eq!(
            texts,
            ["RLIMIT_NOFILE 10 20".to_owned(), format!("RLIMIT_CORE {0} {0}", u64::MAX)]
        );
    }

    #[test]
    fn an_unknown_name_or_a_soft_value_above_the_hard_one_is_refused() {
        assert_eq!(check(&limit("love", 1, 1)).unwrap_err().message, "invalid ulimit type: love");
        assert_eq!(
            check(&limit("core", 2, 1)).unwrap_err().message,
            "ulimit soft limit must be less than or equal to hard limit: 2 > 1"
        );
        assert!(check(&limit("core", 5, -1)).is_ok());
    }
}
