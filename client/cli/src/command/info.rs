//! `info`.

use crate::arg::value;
use crate::command::Invocation;
use crate::failure::Failure;
use crate::format::template::{Template, unescaped};
use crate::format::units;
use crate::plugin::{self, Plugin};
use crate::{host, output};
use clap::Arg;
use client_http::Request;
use serde_json::{Value, json};

pub(crate) fn flags() -> Vec<Arg> {
    vec![value("format", 'f', "string", "Format output: 'json' or a Go template")]
}

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, flags, .. } = invocation;
    let context = host::context_name(&session.globals, &session.config);
    let asked = asked(&session).await;
    let plugins: Vec<Plugin> = plugin::all(&session.config).into_values().collect();
    let client = json!({
        "Debug": session.globals.debug,
        "Version": crate::session::VERSION,
        "Context": context,
        "Plugins": plugins,
    });
    match flags.text("format").as_str() {
        "" => {
            let mut lines = Lines::default();
            client_lines(&mut lines, &client);
            lines.add("\nServer:");
            if let Ok(info) = &asked {
                server_lines(&mut lines, info);
            }
            output::bytes(lines.0.as_bytes())?;
            match asked {
                Ok(info) => warnings(&info),
                Err(failure) => {
                    output::complain(failure.to_string());
                    return Err(Failure::Exit(1));
                }
            }
        }
        format => {
            let mut info = asked?;
            info["ClientInfo"] = client;
            let text = if format == "json" {
                info.to_string()
            } else {
                let template = Template::parse(&unescaped(format))?;
                match template.render(&info) {
                    Ok(text) => text,
                    Err(error) => {
                        output::line("")?;
                        return Err(Failure::Plain(error.in_type("system.dockerInfo")));
                    }
                }
            };
            output::line(text)?;
        }
    }
    Ok(())
}

async fn asked(session: &crate::session::Session) -> Result<Value, Failure> {
    Ok(session.client().await?.send(Request::get("/info")).await?.json().await?)
}

fn warnings(info: &Value) {
    for warning in info["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::complain(warning);
    }
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn field(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) if !text.is_empty() => self.add(&format!(" {name}: {text}")),
            Value::Number(_) | Value::Bool(_) => self.add(&format!(" {name}: {value}")),
            _ => {}
        }
    }
}

fn client_lines(lines: &mut Lines, client: &Value) {
    lines.add("Client:");
    lines.add(&format!(" Version:    {}", client["Version"].as_str().unwrap_or_default()));
    lines.add(&format!(" Context:    {}", client["Context"].as_str().unwrap_or_default()));
    lines.add(&format!(" Debug Mode: {}", client["Debug"]));
    let plugins = client["Plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !plugins.is_empty() {
        lines.add(" Plugins:");
    }
    for plugin in plugins {
        let text = |name: &str| plugin[name].as_str().unwrap_or_default();
        let (name, about, vendor) = (text("Name"), text("ShortDescription"), text("Vendor"));
        lines.add(&format!("  {name}: {about} ({vendor})"));
        if !text("Version").is_empty() {
            lines.add(&format!("    Version:  {}", text("Version")));
        }
        lines.add(&format!("    Path:     {}", text("Path")));
    }
}

fn server_lines(lines: &mut Lines, info: &Value) {
    lines.field("Containers", &info["Containers"]);
    for (name, key) in [
        ("Running", "ContainersRunning"),
        ("Paused", "ContainersPaused"),
        ("Stopped", "ContainersStopped"),
    ] {
        lines.field(&format!(" {name}"), &info[key]);
    }
    for (name, key) in
        [("Images", "Images"), ("Server Version", "ServerVersion"), ("Storage Driver", "Driver")]
    {
        lines.field(name, &info[key]);
    }
    for pair in info["DriverStatus"].as_array().into_iter().flatten() {
        lines.add(&format!(
            "  {}: {}",
            pair[0].as_str().unwrap_or_default(),
            pair[1].as_str().unwrap_or_default()
        ));
    }
    for (name, key) in [
        ("Logging Driver", "LoggingDriver"),
        ("Cgroup Driver", "CgroupDriver"),
        ("Cgroup Version", "CgroupVersion"),
    ] {
        lines.field(name, &info[key]);
    }
    lines.add(" Plugins:");
    for kind in ["Volume", "Network", "Authorization", "Log"] {
        let names = words(&info["Plugins"][kind]);
        if !names.is_empty() {
            lines.add(&format!("  {kind}: {names}"));
        }
    }
    lines.field("Swarm", &info["Swarm"]["LocalNodeState"]);
    let runtimes: Vec<&str> =
        info["Runtimes"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    lines.add(&format!(" Runtimes: {}", runtimes.join(" ")));
    lines.field("Default Runtime", &info["DefaultRuntime"]);
    lines.field("Init Binary", &info["InitBinary"]);
    for (name, key) in
        [("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")]
    {
        lines.add(&format!(" {name} version: {}", info[key]["ID"].as_str().unwrap_or_default()));
    }
    security(lines, &info["SecurityOptions"]);
    host_lines(lines, info);
}

fn words(list: &Value) -> String {
    let mut words: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    words.sort_unstable();
    words.join(" ")
}

fn security(lines: &mut Lines, options: &Value) {
    let options: Vec<&str> =
        options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if options.is_empty() {
        return;
    }
    lines.add(" Security Options:");
    for option in options {
        let pairs = option.split(',').filter_map(|pair| pair.split_once('='));
        for (key, value) in pairs {
            match key {
                "name" => lines.add(&format!("  {value}")),
                "profile" => lines.add(&format!("   Profile: {value}")),
                _ => lines.add(&format!("   {key}: {value}")),
            }
        }
    }
}

fn host_lines(lines: &mut Lines, info: &Value) {
    for (name, key) in [
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
    ] {
        lines.field(name, &info[key]);
    }
    #[expect(clippy::cast_precision_loss, reason = "sizes are rounded for people")]
    let memory = units::binary_size(info["MemTotal"].as_i64().unwrap_or_default() as f64);
    lines.add(&format!(" Total Memory: {memory}"));
    for (name, key) in [
        ("Name", "Name"),
        ("ID", "ID"),
        ("Docker Root Dir", "DockerRootDir"),
        ("Debug Mode", "Debug"),
    ] {
        lines.field(name, &info[key]);
    }
    for (name, key) in
        [("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")]
    {
        lines.field(name, &info[key]);
    }
    let labels: Vec<&str> =
        info["Labels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !labels.is_empty() {
        lines.add(" Labels:");
        labels.iter().for_each(|label| lines.add(&format!("  {label}")));
    }
    lines.field("Experimental", &info["ExperimentalBuild"]);
    registries(lines, &info["RegistryConfig"]);
    lines.field("Live Restore Enabled", &info["LiveRestoreEnabled"]);
    lines.field("Product License", &info["ProductLicense"]);
    let pools = info["DefaultAddressPools"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !pools.is_empty() {
        lines.add(" Default Address Pools:");
        for pool in pools {
            lines.add(&format!(
                "   Base: {}, Size: {}",
                pool["Base"].as_str().unwrap_or_default(),
                pool["Size"]
            ));
        }
    }
}

fn registries(lines: &mut Lines, config: &Value) {
    let list = |key: &str| {
        config[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let insecure = config["IndexConfigs"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, index)| index["Secure"] == false);
    let mut hosts: Vec<&str> = insecure.map(|(name, _)| name.as_str()).collect();
    hosts.extend(list("InsecureRegistryCIDRs"));
    if !hosts.is_empty() {
        lines.add(" Insecure Registries:");
        hosts.iter().for_each(|host| lines.add(&format!("  {host}")));
    }
    let mirrors = list("Mirrors");
    if !mirrors.is_empty() {
        lines.add(" Registry Mirrors:");
        mirrors.iter().for_each(|mirror| lines.add(&format!("  {mirror}")));
    }
}
