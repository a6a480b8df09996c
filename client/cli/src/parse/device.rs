//! `--device` and `--gpus`.

use crate::parse::csv;
use api_types::List;
use api_types::host::{DeviceMapping, DeviceRequest};

/// A device of the host, or a name that the engine resolves by CDI.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Path(DeviceMapping),
    Named(String),
}

/// `path[:path[:permissions]]` or `vendor/class=name`.
pub(crate) fn parse(text: &str) -> Result<Device, String> {
    if !text.starts_with('/') && text.contains('/') && text.contains('=') {
        return Ok(Device::Named(text.to_owned()));
    }
    let parts: Vec<&str> = text.split(':').collect();
    let valid = |mode: &str| {
        !mode.is_empty()
            && mode.chars().all(|letter| "rwm".contains(letter))
            && (1..mode.len()).all(|at| !mode[..at].contains(&mode[at..=at]))
    };
    let (host, inside, permissions) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if valid(mode) => (*host, *host, *mode),
        [host, inside] => (*host, *inside, "rwm"),
        [host, inside, mode] => (*host, *inside, *mode),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    if !inside.starts_with('/') {
        return Err(format!("{inside} is not an absolute path"));
    }
    Ok(Device::Path(DeviceMapping {
        path_on_host: host.to_owned(),
        path_in_container: inside.to_owned(),
        cgroup_permissions: permissions.to_owned(),
    }))
}

/// `all`, a number, or `driver=,count=,device=,capabilities=,options=`.
pub(crate) fn gpus(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let mut capabilities = vec!["gpu".to_owned()];
    let mut counted = false;
    for (number, field) in csv::fields(text).iter().enumerate() {
        match field.split_once('=') {
            None if number == 0 => {
                request.count = count(field)?;
                counted = true;
            }
            None => return Err(format!("unexpected key '{field}' in '{field}'")),
            Some(("driver", value)) => request.driver = value.to_owned(),
            Some(("count", value)) => {
                request.count = count(value)?;
                counted = true;
            }
            Some(("device", value)) => request.device_ids = List::from(csv::fields(value)),
            Some(("capabilities", value)) => {
                capabilities.extend(csv::fields(value).into_iter().filter(|name| name != "gpu"));
            }
            Some(("options", value)) => {
                request.options = crate::parse::env::map(&csv::fields(value))
            }
            Some((key, _)) => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if !counted && request.device_ids.is_null() {
        request.count = 1;
    }
    if request.options.is_null() {
        request.options = api_types::Map::empty();
    }
    request.capabilities = List::from(vec![List::from(capabilities)]);
    Ok(request)
}

fn count(text: &str) -> Result<i64, String> {
    if text == "all" {
        return Ok(-1);
    }
    text.parse().map_err(|_| {
        format!(
            "invalid count ({text}): value must be either \"all\" or an integer: invalid syntax"
        )
    })
}

/// `--device-cgroup-rule`: `c 1:3 rwm`, with `*` for any number.
pub(crate) fn rule(text: &str) -> Result<(), String> {
    let number = |text: &str| {
        text == "*" || !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
    };
    let fits = match text.split(' ').collect::<Vec<_>>()[..] {
        ["a" | "b" | "c", numbers, access] => {
            numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&access.len())
                && access.bytes().all(|letter| b"rwm".contains(&letter))
        }
        _ => false,
    };
    match fits {
        true => Ok(()),
        false => Err(format!("invalid device cgroup format '{text}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_part_is_a_mode_or_a_path() {
        let read = |text: &str| match parse(text).unwrap() {
            Device::Path(device) => {
                [device.path_on_host, device.path_in_container, device.cgroup_permissions].join(" ")
            }
            Device::Named(name) => name,
        };
        assert_eq!(read("/dev/a"), "/dev/a /dev/a rwm");
        assert_eq!(read("/dev/a:r"), "/dev/a /dev/a r");
        assert_eq!(read("/dev/a:/dev/b"), "/dev/a /dev/b rwm");
        assert_eq!(read("/dev/a:/dev/b:rw"), "/dev/a /dev/b rw");
        assert_eq!(read("vendor.com/net=x"), "vendor.com/net=x");
    }

    #[test]
    fn all_gpus_count_as_minus_one() {
        assert_eq!(gpus("all").unwrap().count, -1);
        assert_eq!(*gpus("\"device=0,1\"").unwrap().device_ids, ["0", "1"]);
        assert!(gpus("x").is_err());
    }
}
