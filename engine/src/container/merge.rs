//! Merging what the user asked for with what the image says, as Docker does.

use api_types::container::{Config, HealthConfig};
use spec::Failure;

/// Fills `user` from `image` where the user said nothing, and fails when no program is left.
pub fn merge(user: &mut Config, image: &Config) -> Result<(), Failure> {
    if user.user.is_empty() {
        user.user.clone_from(&image.user);
    }
    for (port, empty) in &image.exposed_ports {
        if !user.exposed_ports.contains_key(port) {
            user.exposed_ports.insert(port.clone(), *empty);
        }
    }
    merge_env(user, image);
    for (key, value) in &image.labels {
        if !user.labels.contains_key(key) {
            user.labels.insert(key.clone(), value.clone());
        }
    }
    if user.entrypoint.is_empty() {
        if user.cmd.is_empty() {
            user.cmd.clone_from(&image.cmd);
            user.args_escaped = image.args_escaped;
        }
        if user.entrypoint.is_null() {
            user.entrypoint.clone_from(&image.entrypoint);
        }
    }
    if let Some(from) = &image.healthcheck {
        match &mut user.healthcheck {
            None => user.healthcheck = Some(from.clone()),
            Some(own) => merge_health(own, from),
        }
    }
    if user.working_dir.is_empty() {
        user.working_dir.clone_from(&image.working_dir);
    }
    for (path, empty) in &image.volumes {
        if !user.volumes.contains_key(path) {
            user.volumes.insert(path.clone(), *empty);
        }
    }
    if user.volumes.is_empty() {
        // What clients send as an empty object is shown as nothing.
        user.volumes = api_types::Map::default();
    }
    if user.stop_signal.is_empty() {
        user.stop_signal.clone_from(&image.stop_signal);
    }
    // `--entrypoint ""` takes the image's away.
    if user.entrypoint.len() == 1 && user.entrypoint[0].is_empty() {
        user.entrypoint = api_types::List::default();
    }
    if user.entrypoint.is_empty() && user.cmd.is_empty() {
        return Err(Failure::invalid("No command specified"));
    }
    Ok(())
}

/// The image's variables come after the user's, those that the user set left out.
fn merge_env(user: &mut Config, image: &Config) {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    if user.env.is_empty() {
        user.env.clone_from(&image.env);
        return;
    }
    let own: Vec<String> = user.env.iter().map(|variable| name(variable)).collect();
    let missing: Vec<String> =
        image.env.iter().filter(|variable| !own.contains(&name(variable))).cloned().collect();
    user.env.extend(missing);
}

fn merge_health(own: &mut HealthConfig, from: &HealthConfig) {
    if own.test.is_empty() {
        own.test.clone_from(&from.test);
    }
    let fill = |own: &mut i64, from: i64| {
        if *own == 0 {
            *own = from;
        }
    };
    fill(&mut own.interval, from.interval);
    fill(&mut own.timeout, from.timeout);
    fill(&mut own.start_period, from.start_period);
    fill(&mut own.start_interval, from.start_interval);
    fill(&mut own.retries, from.retries);
}

/// The program and its arguments.
pub fn command(config: &Config) -> (String, Vec<String>) {
    let mut words = config.entrypoint.iter().chain(config.cmd.iter()).cloned();
    let path = words.next().unwrap_or_default();
    (path, words.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    fn image() -> Config {
        config(
            r#"{"Entrypoint":["/entry"],"Cmd":["serve"],"Env":["PATH=/bin","A=1"],"Labels":{"x":"1","y":"1"},
            "ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},"WorkingDir":"/srv","User":"web","StopSignal":"SIGINT"}"#,
        )
    }

    #[test]
    fn what_the_user_says_wins_and_the_rest_is_the_images() {
        let mut user = config(r#"{"Cmd":["run","-v"],"Env":["A=2","B=3"],"Labels":{"x":"2"}}"#);
        merge(&mut user, &image()).unwrap();
        assert_eq!(*user.env, ["A=2", "B=3", "PATH=/bin"]);
        assert_eq!(user.labels["x"], "2");
        assert_eq!(user.labels["y"], "1");
        assert_eq!(
            (user.user.as_str(), user.working_dir.as_str(), user.stop_signal.as_str()),
            ("web", "/srv", "SIGINT")
        );
        assert!(user.exposed_ports.contains_key("80/tcp") && user.volumes.contains_key("/data"));
        assert_eq!(command(&user), ("/entry".into(), vec!["run".into(), "-v".into()]));
    }

    #[test]
    fn an_entrypoint_of_the_users_drops_the_images_command() {
        let mut user = config(r#"{"Entrypoint":["/bin/sh"]}"#);
        merge(&mut user, &image()).unwrap();
        assert_eq!(command(&user), ("/bin/sh".into(), vec![]));
    }

    #[test]
    fn an_empty_entrypoint_takes_the_images_away_and_needs_a_command() {
        let mut user = config(r#"{"Entrypoint":[""],"Cmd":["ls"]}"#);
        merge(&mut user, &image()).unwrap();
        assert_eq!(command(&user), ("ls".into(), vec![]));
        let mut user = config(r#"{"Entrypoint":[""]}"#);
        assert_eq!(merge(&mut user, &image()).unwrap_err().message, "No command specified");
    }
}
