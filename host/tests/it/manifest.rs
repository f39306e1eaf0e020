//! What the host refuses at start, by name.

use crate::fixture::{PROBE, refusal};

#[tokio::test]
async fn names_what_it_does_not_support() {
    let component = |line: &str| PROBE.replace("[component.hidden]", &format!("[component.hidden]\n{line}"));
    for (manifest, named) in [
        (component("ai_models = [\"llama\"]"), "the field ai_models"),
        (component("allowed_http_hosts = [\"a\"]"), "the field allowed_http_hosts"),
        (component("profile = {}"), "the field profile"),
        (PROBE.to_owned() + "[[trigger.sqs]]\nqueue = \"x\"\ncomponent = \"probe\"", "[[trigger.sqs]]"),
        (PROBE.to_owned() + "[application.trigger.sqs]\nqueue = \"x\"", "application.trigger.sqs"),
        (
            PROBE.to_owned() + "[[trigger.redis]]\nchannel = \"x\"\ncomponent = { source = \"x\" }",
            "an inline component",
        ),
        (PROBE.to_owned() + "[[trigger.http]]\nroute = \"/x\"\nstatic_response = { body = \"x\" }", "static_response"),
        (
            PROBE.to_owned()
                + "[[trigger.http]]\nroute = \"/x\"\ncomponent = \"probe\"\nexecutor = { type = \"wagi\" }",
            "wagi",
        ),
        (PROBE.to_owned() + "[component.probe.dependencies]\n\"a:b\" = \"1.0.0\"", "package registry"),
    ] {
        let error = refusal(&manifest).await;
        assert!(error.contains(named) && error.contains("spin up"), "{named}: {error}");
    }
}

#[tokio::test]
async fn refuses_what_is_wrong() {
    for (manifest, told) in [
        (PROBE.replace("[application]", "[application]\nnmae = \"x\""), "nmae"),
        (PROBE.replace("sqlite_databases", "sqlite_database"), "sqlite_database"),
        (PROBE.replace("{{ greeting }}", "{{ greting }}"), "greting"),
        (PROBE.replace("= { default = \"hello\" }", "= {}"), "required = true"),
        (
            PROBE.replace("sqlite_databases = [\"default\"]", "sqlite_databases = [\"orders\"]"),
            "[sqlite_database.orders]",
        ),
        (PROBE.replace("\"http://hidden.spin.internal\"", "\"hidden\""), "no scheme"),
        (PROBE.replace("private = true", "private = false"), "private = false"),
        (PROBE.replace("component = \"hidden\"", "component = \"nobody\""), "nobody"),
        (PROBE.replace("{probe}", "missing.wasm"), "build the components first"),
        (PROBE.replace("spin_manifest_version = 2", "spin_manifest_version = 1"), "must be 2"),
    ] {
        let error = refusal(&manifest).await;
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[tokio::test]
async fn ignores_what_spin_ignores() {
    let manifest = PROBE.to_owned()
        + "[component.probe.build]\ncommand = \"make\"\nwatch = [\"src\"]\n\
           [component.probe.tool.other]\nanything = 1\n";
    crate::fixture::start(&manifest).await;
}
