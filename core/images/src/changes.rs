//! Changes to a configuration in the words of a Dockerfile (`--change` of import and commit).

use crate::error::ChangeError;
use crate::time::parse_duration;
use serde_json::json;
use spec::image::{Healthcheck, RunConfig};

/// Bytes of one change.
const CHANGE_MAX: usize = 64 << 10;

/// Applies changes in their order. Nothing is changed when one of them is wrong.
pub fn apply_changes(config: &mut RunConfig, changes: &[String]) -> Result<(), ChangeError> {
    let mut changed = config.clone();
    let mut cmd_set = false;
    let mut count = 0;
    for change in changes {
        let joined = change.replace("\\\r\n", "").replace("\\\n", "");
        for line in joined.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                apply(&mut changed, line, &mut cmd_set)?;
                count += 1;
            }
        }
    }
    if count == 0 && !changes.is_empty() {
        return Err(ChangeError::Nothing);
    }
    *config = changed;
    Ok(())
}

fn apply(config: &mut RunConfig, line: &str, cmd_set: &mut bool) -> Result<(), ChangeError> {
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (name, rest) = (name.to_ascii_uppercase(), rest.trim());
    let refuse = |cause: &str| ChangeError::Arguments(cause.to_owned());
    if line.len() > CHANGE_MAX {
        return Err(refuse(&format!("{name} is longer than {CHANGE_MAX} bytes")));
    }
    if rest.is_empty() && is_known(&name) && !matches!(&*name, "CMD" | "ENTRYPOINT") {
        let single = matches!(&*name, "USER" | "WORKDIR" | "STOPSIGNAL");
        let count = if single { "exactly" } else { "at least" };
        return Err(refuse(&format!("{name} requires {count} one argument")));
    }
    match &*name {
        "CMD" => {
            config.cmd = Some(command(config, rest));
            config.args_escaped = false;
            *cmd_set = true;
        }
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(config, rest)).filter(|words| !words.is_empty());
            if !*cmd_set {
                config.cmd = None;
            }
        }
        "ENV" => {
            for (key, value) in pairs(config, &name, rest).map_err(|cause| refuse(&cause))? {
                set_env(&mut config.env, &key, &value);
            }
        }
        "LABEL" => {
            let pairs = pairs(config, &name, rest).map_err(|cause| refuse(&cause))?;
            config.labels.extend(pairs);
        }
        "EXPOSE" => {
            for word in expanded(config, rest).map_err(|cause| refuse(&cause))? {
                for port in ports(&word).map_err(|cause| refuse(&cause))? {
                    config.exposed_ports.insert(port, json!({}));
                }
            }
        }
        "HEALTHCHECK" => {
            config.healthcheck = Some(health(rest).map_err(|cause| refuse(&cause))?);
        }
        "ONBUILD" => config.on_build.push(on_build(rest).map_err(|cause| refuse(&cause))?),
        "STOPSIGNAL" => config.stop_signal = expand(rest, &config.env).map_err(|c| refuse(&c))?,
        "USER" => config.user = expand(rest, &config.env).map_err(|c| refuse(&c))?,
        "VOLUME" => {
            let volumes = match json_words(rest) {
                Some(words) => words,
                None => expanded(config, rest).map_err(|cause| refuse(&cause))?,
            };
            for volume in volumes {
                if volume.trim().is_empty() {
                    return Err(refuse("VOLUME specified can not be an empty string"));
                }
                config.volumes.insert(volume, json!({}));
            }
        }
        "WORKDIR" => {
            let path = expand(rest, &config.env).map_err(|cause| refuse(&cause))?;
            config.working_dir = join(&config.working_dir, &path);
        }
        _ => return Err(ChangeError::Unknown(name.to_lowercase().chars().take(40).collect())),
    }
    Ok(())
}

fn is_known(name: &str) -> bool {
    matches!(
        name,
        "ENV"
            | "LABEL"
            | "EXPOSE"
            | "HEALTHCHECK"
            | "ONBUILD"
            | "STOPSIGNAL"
            | "USER"
            | "VOLUME"
            | "WORKDIR"
    )
}

/// A JSON list of texts, or `None`.
fn json_words(text: &str) -> Option<Vec<String>> {
    text.starts_with('[').then(|| serde_json::from_str(text).ok()).flatten()
}

/// The exec form, or the shell form with the image's shell.
fn command(config: &RunConfig, text: &str) -> Vec<String> {
    if let Some(words) = json_words(text) {
        return words;
    }
    if text.is_empty() {
        return Vec::new();
    }
    let mut words = config.shell.clone();
    if words.is_empty() {
        words = vec!["/bin/sh".into(), "-c".into()];
    }
    words.push(text.to_owned());
    words
}

fn set_env(env: &mut Vec<String>, key: &str, value: &str) {
    let line = format!("{key}={value}");
    match env.iter_mut().find(|line| line.split('=').next() == Some(key)) {
        Some(old) => *old = line,
        None => env.push(line),
    }
}

/// `key=value key=value`, or in the old form `key value with blanks`.
fn pairs(config: &RunConfig, name: &str, text: &str) -> Result<Vec<(String, String)>, String> {
    let words = split_words(text);
    let first = words.first().map_or("", |word| word.as_str());
    if !first.contains('=') {
        let (key, value) = text
            .split_once(char::is_whitespace)
            .ok_or_else(|| format!("{name} must have two arguments"))?;
        return Ok(vec![(expand(key, &config.env)?, expand(value.trim(), &config.env)?)]);
    }
    let mut found = Vec::new();
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| {
            format!("Syntax error - can't find = in {word:?}. Must be of the form: name=value")
        })?;
        if key.is_empty() {
            return Err(format!("{name} names can not be blank"));
        }
        found.push((expand(key, &config.env)?, expand(value, &config.env)?));
    }
    Ok(found)
}

fn expanded(config: &RunConfig, text: &str) -> Result<Vec<String>, String> {
    split_words(text).iter().map(|word| expand(word, &config.env)).collect()
}

/// `80`, `80/udp`, `80-82/tcp` as single ports with their protocol.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(&*protocol, "tcp" | "udp" | "sctp") {
        return Err(format!("Invalid proto: {protocol}"));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let invalid = || format!("Invalid containerPort: {range}");
    let number = |text: &str| text.parse::<u16>().map_err(|_| invalid());
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(invalid());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn health(text: &str) -> Result<Healthcheck, String> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option.split_once(char::is_whitespace).unwrap_or((option, ""));
        let (key, value) =
            option.split_once('=').ok_or_else(|| format!("invalid flag --{option}"))?;
        let invalid = || format!("invalid value {value:?} for --{key}");
        let duration =
            || parse_duration(value).filter(|d| *d == 0 || *d >= 1_000_000).ok_or_else(invalid);
        match key {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => {
                check.retries = value.parse().ok().filter(|n| *n >= 0).ok_or_else(invalid)?;
            }
            _ => return Err(format!("Unknown flag: {key}")),
        }
        rest = after.trim_start();
    }
    let (kind, command_text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command_text = command_text.trim();
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if command_text.is_empty() => check.test = vec!["NONE".into()],
        "CMD" if !command_text.is_empty() => {
            check.test = match json_words(command_text) {
                Some(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
                None => vec!["CMD-SHELL".into(), command_text.to_owned()],
            };
        }
        "NONE" => return Err("HEALTHCHECK NONE takes no arguments".into()),
        "CMD" => return Err("Missing command after HEALTHCHECK CMD".into()),
        kind => return Err(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)")),
    }
    Ok(check)
}

fn on_build(text: &str) -> Result<String, String> {
    let trigger = text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    match &*trigger {
        "ONBUILD" => Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".into()),
        "FROM" | "MAINTAINER" => Err(format!("{trigger} isn't allowed as an ONBUILD trigger")),
        _ => Ok(text.to_owned()),
    }
}

/// An absolute path from `directory`, without `.` and `..`.
fn join(directory: &str, path: &str) -> String {
    let whole = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{directory}/{path}"),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Splits at blanks outside quotes; quotes and backslashes stay in the words.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        word.push(c);
        if c == '\\' && quote != Some('\'') {
            word.extend(chars.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Takes quotes and backslashes away and puts variables in: `$name`, `${name}`, `${name:-word}`, `${name:+word}`.
fn expand(text: &str, env: &[String]) -> Result<String, String> {
    let mut out = String::new();
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '$') => rest = variable(rest, env, &mut out)?,
            (None, '\\') => {
                let next = rest.chars().next();
                out.extend(next);
                rest = &rest[next.map_or(0, char::len_utf8)..];
            }
            (Some('"'), '\\') => match rest.chars().next() {
                Some(next @ ('"' | '$' | '\\')) => {
                    out.push(next);
                    rest = &rest[1..];
                }
                _ => out.push('\\'),
            },
            (_, c) => out.push(c),
        }
    }
    match quote {
        Some(_) => {
            Err(format!("unexpected end of statement while looking for matching quote in {text:?}"))
        }
        None => Ok(out),
    }
}

/// Appends the value of the variable that `text` begins with, after its `$`; answers what follows it.
fn variable<'t>(text: &'t str, env: &[String], out: &mut String) -> Result<&'t str, String> {
    let value = |name: &str| {
        env.iter()
            .find_map(|line| line.split_once('=').filter(|(key, _)| *key == name))
            .map(|(_, v)| v)
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let Some(inner) = text.strip_prefix('{') else {
        let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
        if end == 0 {
            out.push('$');
        }
        out.push_str(value(&text[..end]).unwrap_or_default());
        return Ok(&text[end..]);
    };
    let (inner, after) = inner
        .split_once('}')
        .ok_or_else(|| format!("failed to process \"${text}\": no closing brace"))?;
    let end = inner.find(|c| !is_name(c)).unwrap_or(inner.len());
    let (name, modifier) = inner.split_at(end);
    let found = value(name).filter(|value| !value.is_empty());
    match modifier.get(..2) {
        _ if name.is_empty() => return Err("bad substitution".into()),
        None if modifier.is_empty() => out.push_str(value(name).unwrap_or_default()),
        Some(":-") => out.push_str(found.unwrap_or(&modifier[2..])),
        Some(":+") => out.push_str(found.map_or("", |_| &modifier[2..])),
        _ => return Err(format!("unsupported modifier ({modifier}) in substitution")),
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &[&str]) -> Result<RunConfig, ChangeError> {
        let mut config = RunConfig {
            env: vec!["PATH=/bin".into()],
            cmd: Some(vec!["old".into()]),
            working_dir: "/a".into(),
            ..RunConfig::default()
        };
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        apply_changes(&mut config, &changes)?;
        Ok(config)
    }

    #[test]
    fn each_instruction_changes_its_field() {
        let config = changed(&[
            "CMD [\"a\", \"b c\"]",
            "ENTRYPOINT run this",
            "ENV A=1 B=\"two words\" PATH=$PATH:/usr/bin",
            "env OLD form of it",
            "EXPOSE 80 90-91/udp",
            "HEALTHCHECK --interval=5s --retries=3 CMD curl x",
            "LABEL k=v \"quoted key\"='$A'",
            "ONBUILD RUN x",
            "STOPSIGNAL SIGINT",
            "USER me:us",
            "VOLUME [\"/data\", \"/b c\"]",
            "VOLUME /x /y",
            "WORKDIR b/../c",
        ])
        .unwrap();
        assert_eq!(config.cmd, Some(vec!["a".into(), "b c".into()]));
        assert_eq!(config.entrypoint, Some(vec!["/bin/sh".into(), "-c".into(), "run this".into()]));
        let env = ["PATH=/bin:/usr/bin", "A=1", "B=two words", "OLD=form of it"];
        assert_eq!(config.env, env);
        let ports: Vec<&str> = config.exposed_ports.keys().map(String::as_str).collect();
        assert_eq!(ports, ["80/tcp", "90/udp", "91/udp"]);
        let health = config.healthcheck.unwrap();
        assert_eq!((health.interval, health.retries), (5_000_000_000, 3));
        assert_eq!(health.test, ["CMD-SHELL", "curl x"]);
        assert_eq!(config.labels["k"], "v");
        assert_eq!(config.labels["quoted key"], "$A");
        assert_eq!(config.on_build, ["RUN x"]);
        assert_eq!((&*config.stop_signal, &*config.user), ("SIGINT", "me:us"));
        let volumes: Vec<&str> = config.volumes.keys().map(String::as_str).collect();
        assert_eq!(volumes, ["/b c", "/data", "/x", "/y"]);
        assert_eq!(config.working_dir, "/a/c");
    }

    #[test]
    fn entrypoint_resets_the_command_of_the_image() {
        assert_eq!(changed(&["ENTRYPOINT [\"x\"]"]).unwrap().cmd, None);
    }

    #[test]
    fn wrong_changes_are_refused_with_the_instruction() {
        for (change, text) in [
            ("RUN x", "run is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
            ("USER", "USER requires exactly one argument"),
            ("ENV A", "ENV must have two arguments"),
            ("LABEL =b", "LABEL names can not be blank"),
            (
                "LABEL a=b c",
                "Syntax error - can't find = in \"c\". Must be of the form: name=value",
            ),
            ("EXPOSE 70000", "Invalid containerPort: 70000"),
            ("EXPOSE 80-70/udp", "Invalid containerPort: 80-70"),
            ("EXPOSE 80/nosuch", "Invalid proto: nosuch"),
            ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
            ("USER ${a", "failed to process \"${a\": no closing brace"),
            ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
            ("# x", "file with no instructions"),
        ] {
            assert_eq!(changed(&[change]).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn variables_have_defaults_and_escapes() {
        let env = ["A=1".to_owned(), "E=".to_owned()];
        for (text, expected) in [
            ("${A}x$A", "1x1"),
            ("${B:-d}${A:-d}${E:-e}", "d1e"),
            ("${A:+yes}${B:+no}", "yes"),
            ("\\$A '$A' \"\\$A\"", "$A $A $A"),
            ("100$", "100$"),
        ] {
            assert_eq!(expand(text, &env).unwrap(), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_change_is_applied_or_refused(change in "(ENV|LABEL|USER|HEALTHCHECK|VOLUME|EXPOSE) \\PC{0,30}") {
            drop(apply_changes(&mut RunConfig::default(), &[change]));
        }
    }
}
