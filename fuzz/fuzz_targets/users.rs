//! An image's /etc/passwd and /etc/group, and the name that is looked up in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use safepath::users;

fuzz_target!(|input: (&str, &[u8], &[u8])| {
    let (name, passwd, group) = input;
    if let Ok(identity) = users::resolve(name, passwd, group) {
        assert!(i32::try_from(identity.uid).is_ok() && i32::try_from(identity.gid).is_ok());
    }
    users::group_id(name, group).ok();
});
