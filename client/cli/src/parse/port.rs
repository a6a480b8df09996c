//! `-p`, `--expose`: ports and ranges of ports.

use api_types::network::PortBinding;
use api_types::{Empty, List, Map};

/// What is exposed and where it is published.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) exposed: Map<Empty>,
    pub(crate) bindings: Map<List<PortBinding>>,
}

/// Reads every `-p`, then every `--expose`.
pub(crate) fn parse(published: &[String], exposed: &[String]) -> Result<Ports, String> {
    let mut ports = Ports { exposed: Map::empty(), bindings: Map::empty() };
    for text in published {
        publish(&mut ports, &long_form(text)?)?;
    }
    for text in exposed {
        if text.contains(':') {
            return Err(format!("invalid port format for --expose: {text}"));
        }
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let wrong =
            |reason: String| format!("invalid range format for --expose: {text}, error: {reason}");
        let (first, last) = span(range).map_err(wrong)?;
        for port in first..=last {
            ports.exposed.insert(format!("{port}/{}", protocol.to_lowercase()), Empty {});
        }
    }
    Ok(ports)
}

/// `target=80,published=8080,protocol=tcp` as the short form.
fn long_form(text: &str) -> Result<String, String> {
    if !text.contains('=') {
        return Ok(text.to_owned());
    }
    let (mut target, mut published, mut protocol) =
        (String::new(), String::new(), "tcp".to_owned());
    for field in crate::parse::csv::fields(text) {
        let Some((key, value)) = field.split_once('=') else {
            return Err(format!("invalid field: {field}"));
        };
        match key {
            "target" => target = value.to_owned(),
            "published" => published = value.to_owned(),
            "protocol" => protocol = value.to_owned(),
            "mode" => {}
            _ => return Err(format!("invalid field key: {key}")),
        }
    }
    if target.is_empty() {
        return Err(format!("missing mandatory field 'target' in '{text}'"));
    }
    Ok(if published.is_empty() {
        format!("{target}/{protocol}")
    } else {
        format!("{published}:{target}/{protocol}")
    })
}

fn publish(ports: &mut Ports, text: &str) -> Result<(), String> {
    let (host_ip, host, target) = parts(text);
    let (target, protocol) = target.split_once('/').unwrap_or((target, "tcp"));
    if target.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let protocol = protocol.to_lowercase();
    let address = host_ip.trim_start_matches('[').trim_end_matches(']');
    if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    let (first, last) = span(target).map_err(|_| format!("invalid containerPort: {target}"))?;
    let host_span = if host.is_empty() {
        None
    } else {
        Some(span(host).map_err(|_| format!("invalid hostPort: {host}"))?)
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let count = last - first;
    if let Some((low, high)) = host_span
        && high - low != count
        && count != 0
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {target} and {host}"
        ));
    }
    for step in 0..=count {
        let host_port = match host_span {
            None => String::new(),
            // One port published from a range: the engine picks a free one.
            Some((low, high)) if count == 0 && low != high => format!("{low}-{high}"),
            Some((low, _)) => (low + step).to_string(),
        };
        let key = format!("{}/{protocol}", first + step);
        ports.exposed.insert(key.clone(), Empty {});
        let binding = PortBinding { host_ip: address.to_owned(), host_port };
        ports.bindings.entry(key).or_default().push(binding);
    }
    Ok(())
}

/// Address, host port and container port; an IPv6 address stands in brackets.
fn parts(text: &str) -> (&str, &str, &str) {
    let Some((rest, target)) = text.rsplit_once(':') else { return ("", "", text) };
    match rest.rsplit_once(':') {
        Some((ip, host)) => (ip, host, target),
        None => ("", rest, target),
    }
}

fn span(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| {
        text.parse::<u16>().map(u32::from).map_err(|error| {
            let what = match error.kind() {
                std::num::IntErrorKind::PosOverflow => "value out of range",
                _ => "invalid syntax",
            };
            format!("strconv.ParseUint: parsing {text:?}: {what}")
        })
    };
    let (low, high) = match text.split_once('-') {
        Some((low, high)) => (number(low)?, number(high)?),
        None => (number(text)?, number(text)?),
    };
    if high < low {
        Err(format!("invalid range specified for port: {text}"))
    } else {
        Ok((low, high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(text: &str) -> Vec<String> {
        let ports = parse(&[text.to_owned()], &[]).unwrap();
        let line = |(key, list): (&String, &List<PortBinding>)| {
            list.iter()
                .map(|binding| format!("{}:{}->{key}", binding.host_ip, binding.host_port))
                .collect::<Vec<_>>()
        };
        ports.bindings.iter().flat_map(line).collect()
    }

    #[test]
    fn ports_addresses_and_ranges_are_read() {
        assert_eq!(published("80"), [":->80/tcp"]);
        assert_eq!(published("8080:80/udp"), [":8080->80/udp"]);
        assert_eq!(published("127.0.0.1:8080:80"), ["127.0.0.1:8080->80/tcp"]);
        assert_eq!(published("127.0.0.1::80"), ["127.0.0.1:->80/tcp"]);
        assert_eq!(published("[::1]:1:2"), ["::1:1->2/tcp"]);
        assert_eq!(published("1000-1001:80-81"), [":1000->80/tcp", ":1001->81/tcp"]);
        assert_eq!(published("1000-1005:80"), [":1000-1005->80/tcp"]);
        assert_eq!(published("target=80,published=90"), [":90->80/tcp"]);
    }

    #[test]
    fn what_is_no_port_is_refused_in_docker_s_words() {
        for (text, expected) in [
            ("80:99999", "invalid containerPort: 99999"),
            ("x:80", "invalid hostPort: x"),
            ("1.2.3.400:1:2", "invalid IP address: 1.2.3.400"),
            ("80/foo", "invalid proto: foo"),
            ("1-3:1-2", "invalid ranges specified for container and host Ports: 1-2 and 1-3"),
        ] {
            assert_eq!(parse(&[text.to_owned()], &[]).unwrap_err(), expected);
        }
    }
}
