//! What a bus sends, and what a bundle says for the systemd cgroup driver.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systemd::Unit;
use systemd::wire::{Reader, Writer};

fuzz_target!(|input: (&str, &[u8])| {
    let (text, bytes) = input;
    let (mut reader, mut rest) = (Reader::new(bytes, 0), text);
    while let Some(value) = reader.value(&mut rest) {
        // A value that was read is written and read as the same, where it has no map, of which only the end is found.
        let signature = value.signature();
        if signature.contains('{') {
            continue;
        }
        let mut writer = Writer::default();
        writer.value(&value);
        let again = writer.into_bytes();
        assert_eq!(Reader::new(&again, 0).value(&mut signature.as_str()), Some(value));
    }
    if let Ok(unit) = Unit::new(Some(text), "id", false) {
        assert!(!unit.name().contains('/') && unit.object().len() > 31);
        unit.path().expect("the slice was looked at");
    }
    let annotations = [("org.systemd.property.Name".to_owned(), text.to_owned())].into();
    systemd::annotation::properties(&annotations).ok();
});
