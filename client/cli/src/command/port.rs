//! `port`.

use crate::command::Invocation;
use crate::command::attach::inspected;
use crate::failure::Failure;
use crate::output;
use serde_json::Value;

pub(crate) async fn run(invocation: Invocation) -> Result<(), Failure> {
    let Invocation { session, args, .. } = invocation;
    let client = session.client().await?;
    let container = inspected(&client, &args[0]).await?;
    let ports = &container["NetworkSettings"]["Ports"];
    let Some(wanted) = args.get(1) else {
        let mut lines = Vec::new();
        for (port, bindings) in ports.as_object().into_iter().flatten() {
            lines.extend(
                addresses(bindings).map(|address| (number(port), format!("{port} -> {address}"))),
            );
        }
        lines.sort();
        return Ok(lines.iter().try_for_each(|(_, line)| output::line(line))?);
    };
    let (port, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    if port.parse::<u16>().is_err() {
        return Err(Failure::Plain(format!("Error: invalid port ({port}): invalid syntax")));
    }
    let bindings = &ports[format!("{port}/{protocol}")];
    let shown: Vec<String> = addresses(bindings).collect();
    if shown.is_empty() {
        return Err(Failure::Plain(format!(
            "Error: No public port '{wanted}' published for {}",
            args[0]
        )));
    }
    Ok(shown.iter().try_for_each(output::line)?)
}

fn number(port: &str) -> u16 {
    port.split('/').next().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

fn addresses(bindings: &Value) -> impl Iterator<Item = String> {
    bindings.as_array().into_iter().flatten().map(|binding| {
        let text = |name: &str| binding[name].as_str().unwrap_or_default();
        let ip = text("HostIp");
        if ip.contains(':') {
            format!("[{ip}]:{}", text("HostPort"))
        } else {
            format!("{ip}:{}", text("HostPort"))
        }
    })
}
