use super::*;

fn rule(allow: bool, text: &str) -> DeviceRule {
    let mut words = text.split([' ', ':']);
    let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
    DeviceRule {
        allow,
        kind: words.next().map(str::to_owned),
        major: number(words.next()),
        minor: number(words.next()),
        access: words.next().map(str::to_owned),
    }
}

fn policy(rules: &[(bool, &str)]) -> Result<Policy, CgroupError> {
    let rules: Vec<_> = rules.iter().map(|(allow, text)| rule(*allow, text)).collect();
    Policy::of(&check(&rules)?)
}

fn lines(writes: Vec<(&'static str, String)>) -> Vec<String> {
    writes
        .into_iter()
        .map(|(file, line)| format!("{} {line}", file.trim_start_matches("devices.")))
        .collect()
}

#[test]
fn rules_come_to_a_default_and_exceptions() {
    let docker =
        policy(&[(false, "a"), (true, "c *:* m"), (true, "c 1:3 rw"), (true, "c 1:3 m")]).unwrap();
    assert_eq!(lines(docker.writes(None)), ["deny a", "allow c *:* m", "allow c 1:3 rwm"]);
    let privileged = policy(&[(false, "a"), (true, "c 1:3 rwm"), (true, "a")]).unwrap();
    assert_eq!(lines(privileged.writes(None)), ["allow a"]);
    let less =
        policy(&[(true, "a"), (false, "b 8:* w"), (true, "b 8:* w"), (false, "b 8:1 rw")]).unwrap();
    assert_eq!(lines(less.writes(None)), ["allow a", "deny b 8:1 rw"]);
    let removed = policy(&[(true, "c 1:3 rwm"), (true, "c 1:5 r"), (false, "c 1:* rm")]).unwrap();
    assert_eq!(lines(removed.writes(None)), ["deny a", "allow c 1:3 w"]);
}

#[test]
fn a_hole_in_an_exception_is_refused() {
    assert_eq!(
        policy(&[(true, "c *:* rwm"), (false, "c 1:3 w")]).unwrap_err().to_string(),
        "invalid devices: a rule on c 1:3 w cannot follow a rule on c *:* rwm on cgroup v1"
    );
    // It is none if the access or the kind differs.
    assert!(policy(&[(true, "c *:* m"), (false, "c 1:3 w"), (false, "b 1:3 m")]).is_ok());
}

#[test]
fn an_update_writes_only_what_differs() {
    let before = policy(&[(true, "c 1:3 rwm"), (true, "c 1:5 rw")]).unwrap();
    let after = policy(&[(true, "c 1:3 rw"), (true, "c 1:7 r"), (true, "c 1:5 rwm")]).unwrap();
    assert_eq!(
        lines(after.writes(Some(&before))),
        ["deny c 1:3 m", "allow c 1:5 m", "allow c 1:7 r"]
    );
    assert!(after.writes(Some(&after)).is_empty());
    let open = policy(&[(true, "a")]).unwrap();
    assert_eq!(lines(after.writes(Some(&open)))[0], "deny a");
    assert_eq!(lines(open.writes(Some(&after))), ["allow a"]);
}

#[test]
fn devices_list_of_the_kernel_is_read() {
    let read = Policy::parse("c *:* m\nc 1:3 rwm\nb 8:* r\n").unwrap();
    assert_eq!(read, policy(&[(true, "c *:* m"), (true, "c 1:3 rwm"), (true, "b 8:* r")]).unwrap());
    assert_eq!(Policy::parse("a *:* rwm\n").unwrap(), policy(&[(true, "a")]).unwrap());
    assert_eq!(Policy::parse("c 1 rwm"), None);
}

#[test]
fn a_rule_with_unknown_words_is_refused() {
    for bad in ["p 1:3 r", "c 4294967296:0 r", "c 1:3 rx", "c -2:0 r"] {
        assert!(check(&[rule(true, bad)]).is_err(), "{bad}");
    }
    assert!(check(&vec![rule(true, "c 1:3 r"); 1025]).is_err());
}
