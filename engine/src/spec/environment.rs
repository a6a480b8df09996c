//! The environment of a container's processes, in Docker's order.

/// Where programs are looked for when the image does not say.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// PATH, HOSTNAME, TERM with a terminal, what links add, then the container's own, which wins.
pub fn environment(
    hostname: &str,
    terminal: bool,
    linked: &[String],
    own: &[String],
) -> Vec<String> {
    let mut defaults = vec![format!("PATH={PATH}"), format!("HOSTNAME={hostname}")];
    if terminal {
        defaults.push("TERM=xterm".into());
    }
    defaults.extend_from_slice(linked);
    merge(defaults, own)
}

/// `base` with each variable of `over` replaced in place or added at the end. A name without `=` takes the variable away.
pub fn merge(base: Vec<String>, over: &[String]) -> Vec<String> {
    let mut merged: Vec<Option<String>> = base.into_iter().map(Some).collect();
    let named = |entry: &Option<String>, name: &str| {
        entry.as_deref().is_some_and(|text| text.split('=').next() == Some(name))
    };
    for variable in over {
        let name = variable.split('=').next().unwrap_or_default();
        let at = merged.iter().position(|entry| named(entry, name));
        match (variable.contains('='), at) {
            (true, Some(at)) => merged[at] = Some(variable.clone()),
            (true, None) => merged.push(Some(variable.clone())),
            (false, Some(at)) => merged[at] = None,
            (false, None) => {}
        }
    }
    merged.into_iter().flatten().collect()
}

/// `env` with `HOME` at its end if it has none.
pub fn with_home(mut env: Vec<String>, home: &str) -> Vec<String> {
    if !env.iter().any(|variable| variable.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variables_replace_defaults_in_place_and_a_bare_name_removes() {
        let own =
            ["TERM=vt100".to_owned(), "A=1".into(), "HOSTNAME".into(), "A=2".into(), "GONE".into()];
        assert_eq!(
            environment("web", true, &["DB_NAME=/web/db".into()], &own),
            [&format!("PATH={PATH}"), "TERM=vt100", "DB_NAME=/web/db", "A=2"]
        );
    }
}
