//! Compose files, by docker-compose v2 itself and as a command of `coffer`.
//!
//! `./dev setup` brings docker-compose into `target/clients`. Where it could not be had these tests say so and end.

#![expect(clippy::unwrap_used, reason = "tests")]

use e2e::{Engine, Said, eventually};
use std::path::{Path, PathBuf};

const PROJECT: &str = r#"
services:
  web:
    image: busybox
    command: sh -c 'mkdir -p /www; cp /src/page /www/index.html; httpd -f -p 80 -h /www'
    ports: ["127.0.0.1::80"]
    healthcheck: {test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1/"], interval: 200ms, retries: 50}
    volumes: ["data:/data", "./:/src:ro"]
  worker:
    image: busybox
    command: sh -c 'while wget -q -O - http://web/; do sleep 0.2; done'
    init: true
    stop_signal: KILL
    depends_on: {web: {condition: service_healthy}}
    environment: {GREETING: "a b"}
    networks: {default: {aliases: [helper]}, back: {}}
  tool:
    image: busybox
    profiles: [extra]
    command: echo from the tool
networks:
  back: {internal: true}
volumes:
  data: {}
"#;

fn compose() -> Option<PathBuf> {
    let built = e2e::program("cofferd");
    let clients = built.ancestors().find(|path| path.ends_with("target"))?.join("clients");
    let found = clients.join("docker-compose");
    if found.is_file() {
        return Some(found);
    }
    eprintln!("docker-compose is not in {}: nothing was tested", clients.display());
    None
}

/// A project in a directory of its own, driven by one command.
struct Project<'a> {
    engine: &'a Engine,
    directory: PathBuf,
    command: Vec<String>,
}

impl<'a> Project<'a> {
    fn new(engine: &'a Engine, name: &str, command: &[&str]) -> Self {
        let directory = engine.path(name);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("compose.yaml"), PROJECT).unwrap();
        std::fs::write(directory.join("page"), format!("hello from {name}\n")).unwrap();
        Self { engine, directory, command: command.iter().map(ToString::to_string).collect() }
    }

    fn said(&self, arguments: &[&str]) -> Said {
        let words: Vec<&str> =
            self.command.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let mut command = self.engine.client(words[0], &words[1..]);
        command.current_dir(&self.directory).output().unwrap().into()
    }
}

fn plugin_directory(engine: &Engine, compose: &Path) -> String {
    let config = engine.path("client");
    let plugins = config.join("cli-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    std::os::unix::fs::symlink(compose, plugins.join("docker-compose")).unwrap();
    config.display().to_string()
}

fn goes_up_and_down(project: &Project<'_>, name: &str) {
    let engine = project.engine;
    project.said(&["up", "-d"]).text();
    let page = format!("hello from {name}\n");
    let names = project.said(&["ps", "--format", "{{.Name}} {{.Health}}"]).ok();
    assert_eq!(names, format!("{name}-web-1 healthy\n{name}-worker-1 \n"));
    let published = project.said(&["port", "web", "80"]).ok();
    let url = format!("http://{}/", published.trim());
    let fetched = engine.space().command("busybox").args(["wget", "-qO-", &url]).output().unwrap();
    assert_eq!(Said::from(fetched).ok(), page);
    eventually("the worker's log", || {
        project.said(&["logs", "--no-log-prefix", "worker"]).ok().contains(&page)
    });
    let inside =
        |command: &[&str]| project.said(&[&["exec", "-T", "worker"][..], command].concat());
    assert_eq!(inside(&["sh", "-c", "echo $GREETING"]).ok(), "a b\n");
    assert_eq!(inside(&["wget", "-qO-", &format!("http://{name}-web-1/")]).ok(), page);
    assert_eq!(inside(&["sh", "-c", "exit 7"]).code, 7);
    project.said(&["up", "-d", "--scale", "worker=3", "--no-recreate"]).text();
    assert_eq!(project.said(&["ps", "-q"]).ok().lines().count(), 4);
    let lookup = project.said(&["exec", "-T", "web", "nslookup", "helper"]).ok();
    assert_eq!(lookup.matches("Address: 1").count(), 3, "{lookup}");
    assert!(project.said(&["run", "--rm", "tool"]).ok().ends_with("from the tool\n"));
    project.said(&["restart", "web"]).text();
    project.said(&["down", "-v", "--timeout", "1"]).text();
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
    assert_eq!(engine.docker(&["volume", "ls", "-q"]).ok(), "");
    assert_eq!(
        engine.docker(&["network", "ls", "--format", "{{.Name}}"]).ok(),
        "bridge\nhost\nnone\n"
    );
}

#[test]
fn a_project_goes_up_is_scaled_and_goes_down_without_a_trace() {
    let Some(compose) = compose() else { return };
    let engine = Engine::with_busybox();
    let project = Project::new(&engine, "plain", &[&compose.display().to_string()]);
    goes_up_and_down(&project, "plain");
}

#[test]
fn compose_is_a_command_of_coffer() {
    let Some(compose) = compose() else { return };
    let engine = Engine::with_busybox();
    let config = plugin_directory(&engine, &compose);
    let coffer = e2e::program("coffer").display().to_string();
    let project = Project::new(&engine, "plugin", &[&coffer, "--config", &config, "compose"]);
    goes_up_and_down(&project, "plugin");
}

#[test]
fn a_project_runs_on_while_the_daemon_is_killed_and_can_be_taken_down_afterwards() {
    let Some(compose) = compose() else { return };
    let mut engine = Engine::with_busybox();
    let words = [compose.display().to_string()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Project::new(&engine, "lasting", &words).said(&["up", "-d"]).text();
    engine.restart("KILL");
    let directory = engine.path("lasting");
    let command = words.iter().map(ToString::to_string).collect();
    let project = Project { engine: &engine, directory, command };
    assert_eq!(project.said(&["ps", "-q"]).ok().lines().count(), 2);
    let page = project.said(&["exec", "-T", "worker", "wget", "-qO-", "http://web/"]);
    assert_eq!(page.ok(), "hello from lasting\n");
    eventually("the health of the web server", || {
        project.said(&["ps", "web", "--format", "{{.Health}}"]).ok() == "healthy\n"
    });
    project.said(&["down", "-v", "--timeout", "1"]).text();
    assert_eq!(engine.docker(&["ps", "-aq"]).ok(), "");
}
