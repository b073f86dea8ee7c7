//! The contract is prose beside code: everything in it is documented, and every method names its permission.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use prost_reflect::prost_types::SourceCodeInfo;
use prost_reflect::{DescriptorPool, EnumDescriptor, MessageDescriptor};

const PACKAGE: &str = "life.agent.v1";

fn pool() -> DescriptorPool {
    DescriptorPool::decode(life_proto::FILE_DESCRIPTOR_SET).expect("the descriptor set decodes")
}

/// The paths (as in `google.protobuf.SourceCodeInfo`) that carry a comment of at least a few words.
fn commented(info: &SourceCodeInfo) -> BTreeSet<Vec<i32>> {
    let says_something = |text: &str| text.split_whitespace().count() >= 2;
    info.location
        .iter()
        .filter(|location| location.leading_comments.as_deref().is_some_and(says_something))
        .map(|location| location.path.clone())
        .collect()
}

fn check_enum(item: &EnumDescriptor, seen: &BTreeSet<Vec<i32>>, missing: &mut Vec<String>) {
    if !seen.contains(item.path()) {
        missing.push(item.full_name().to_owned());
    }
    let values = item.values().filter(|value| !seen.contains(value.path()));
    missing.extend(values.map(|value| value.full_name().to_owned()));
}

fn check_message(item: &MessageDescriptor, seen: &BTreeSet<Vec<i32>>, missing: &mut Vec<String>) {
    if !seen.contains(item.path()) {
        missing.push(item.full_name().to_owned());
    }
    let fields = item.fields().filter(|field| !seen.contains(field.path()));
    missing.extend(fields.map(|field| field.full_name().to_owned()));
    let oneofs = item.oneofs().filter(|oneof| !oneof.is_synthetic() && !seen.contains(oneof.path()));
    missing.extend(oneofs.map(|oneof| oneof.full_name().to_owned()));
    item.child_messages().for_each(|child| check_message(&child, seen, missing));
    item.child_enums().for_each(|child| check_enum(&child, seen, missing));
}

#[test]
fn everything_has_a_comment() {
    let pool = pool();
    let mut missing = Vec::new();
    let mut files = 0;
    for file in pool.files().filter(|file| file.package_name() == PACKAGE) {
        files += 1;
        let info = file.file_descriptor_proto().source_code_info.clone().expect("comments are included");
        let seen = commented(&info);
        file.messages().for_each(|message| check_message(&message, &seen, &mut missing));
        file.enums().for_each(|item| check_enum(&item, &seen, &mut missing));
        for service in file.services() {
            if !seen.contains(service.path()) {
                missing.push(service.full_name().to_owned());
            }
            let methods = service.methods().filter(|method| !seen.contains(method.path()));
            missing.extend(methods.map(|method| method.full_name().to_owned()));
        }
        for extension in file.extensions() {
            assert!(seen.contains(extension.path()), "{} has no comment", extension.full_name());
        }
    }
    assert!(files >= 8, "only {files} files of the contract were found");
    assert!(missing.is_empty(), "without a comment: {missing:#?}");
}

#[test]
fn every_method_is_in_the_table() {
    let pool = pool();
    let mut expected = BTreeSet::new();
    for service in pool.services().filter(|service| service.package_name() == PACKAGE) {
        for method in service.methods() {
            expected.insert(format!("/{}/{}", service.full_name(), method.name()));
        }
    }
    let table: BTreeSet<String> =
        life_proto::PERMISSIONS.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(table, expected);
    assert!(life_proto::PERMISSIONS.iter().all(|(_, needed)| *needed as i32 != 0));
}

#[test]
fn the_option_survives_in_the_served_descriptor() {
    let pool = pool();
    let option = pool.get_extension_by_name("life.agent.v1.permission").expect("the option is declared");
    let sign = pool.get_service_by_name("life.agent.v1.Crypto").expect("Crypto is declared");
    let sign = sign.methods().find(|method| method.name() == "Sign").expect("Sign is declared");
    let number = sign.options().get_extension(&option).as_enum_number();
    assert_eq!(number, Some(life_proto::v1::Permission::Sign as i32));
}

#[test]
fn paths_outside_the_contract_have_no_permission() {
    use life_proto::v1::Permission;
    assert_eq!(life_proto::permission("/life.agent.v1.Crypto/Sign"), Some(Permission::Sign));
    assert_eq!(life_proto::permission("/life.agent.v1.Agent/GetStatus"), Some(Permission::None));
    assert_eq!(life_proto::permission("/life.agent.v1.Crypto/SignHash"), None);
    assert_eq!(life_proto::permission(""), None);
}

/// Whatever the comments call an error is a known reason, so that no client waits for one that never comes.
#[test]
fn reasons_in_the_comments_are_known() {
    let pool = pool();
    let mut found = 0;
    for file in pool.files().filter(|file| file.package_name() == PACKAGE) {
        let info = file.file_descriptor_proto().source_code_info.clone().expect("comments are included");
        for comment in info.location.iter().filter_map(|location| location.leading_comments.as_deref()) {
            let Some((_, errors)) = comment.split_once("Errors") else { continue };
            let is_reason = |word: &&str| {
                word.len() > 6
                    && word.contains('_')
                    && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            };
            for word in errors.split(|c: char| !c.is_ascii_alphabetic() && c != '_').filter(is_reason) {
                assert!(life_proto::reason::ALL.contains(&word), "{}: unknown reason {word}", file.name());
                found += 1;
            }
        }
    }
    assert!(found > 40, "only {found} reasons were found");
}

#[test]
fn secrets_are_not_printed() {
    use life_proto::v1::{
        DescriptorTicket, NewSecret, NewSoftwareCertificate, Secret, UnlockRequest, new_secret,
        secret::Source,
    };
    let inline = Source::Inline(b"correct horse battery".to_vec());
    let unlock = UnlockRequest { secret: Some(Secret { source: Some(inline) }), ..Default::default() };
    let inline = new_secret::Source::Inline(b"correct horse battery".to_vec());
    let new =
        NewSoftwareCertificate { secret: Some(NewSecret { source: Some(inline) }), ..Default::default() };
    let ticket = DescriptorTicket { ticket: b"correct horse battery".to_vec().into(), ..Default::default() };
    for text in [format!("{unlock:?}"), format!("{new:?}"), format!("{ticket:?}")] {
        assert!(!text.contains("correct") && !text.contains("99, 111, 114"), "{text}");
    }
}
