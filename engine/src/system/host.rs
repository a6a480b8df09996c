//! Facts of the host that are only shown: distribution, memory, limits. Files that are missing are no failure.

use std::fs;

/// The text of a small file without white space around it.
pub(crate) fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// `PRETTY_NAME` and `VERSION_ID` of `os-release`.
pub(crate) fn distribution() -> (String, String) {
    let text = text("/etc/os-release").or_else(|| text("/usr/lib/os-release")).unwrap_or_default();
    let value = |key| os_release_value(&text, key).unwrap_or_default();
    let name = value("PRETTY_NAME");
    (if name.is_empty() { "Linux".into() } else { name }, value("VERSION_ID"))
}

/// One value of `os-release`, without its quotes (os-release(5)).
fn os_release_value(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.strip_prefix('=')?.trim();
        let unquoted =
            ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        Some(unquoted.unwrap_or(value).to_owned())
    })
}

/// Bytes of memory.
pub(crate) fn memory() -> i64 {
    let text = text("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<i64>().ok()
    });
    total.unwrap_or_default() * 1024
}

/// Whether a switch of the kernel is on.
pub(crate) fn switch(path: &str) -> bool {
    text(path).is_some_and(|text| text == "1")
}

/// Files and sockets that this process has open.
pub(crate) fn open_files() -> i64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as i64)
}

/// The machine in the kernel's words: `x86_64`.
pub(crate) fn machine() -> String {
    std::env::consts::ARCH.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_os_release_lose_their_quotes() {
        let text = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID='12'\n";
        assert_eq!(os_release_value(text, "PRETTY_NAME").unwrap(), "Debian GNU/Linux 12");
        assert_eq!(os_release_value(text, "VERSION_ID").unwrap(), "12");
        assert_eq!(os_release_value(text, "NAME").unwrap(), "x");
        assert_eq!(os_release_value(text, "ID"), None);
    }

    #[test]
    fn this_host_has_memory_and_this_process_open_files() {
        assert!(memory() > 0);
        assert!(open_files() > 2);
    }
}
