//! What stands in `deploy/` is what SpinKube and Kubernetes take, names what is there in the shop, and works.

mod kinds;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    future::IntoFuture,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bodega_host::{HostCall, Phase, Verdict};
use futures::future::join_all;
use k8s_openapi::api::{batch::v1::CronJob, core::v1::PersistentVolumeClaim};
use reqwest::Method;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use shop_tests::{Script, Shop, ShopOptions, eventually, needs_bench};

use self::kinds::{SpinApp, SpinAppExecutor};
use crate::{events::is_delivery, support::assert_message};

const TOKEN: &str = "a tick's token";
const TIMEOUT: Duration = Duration::from_secs(600);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn manifest(file: &str) -> Value {
    serde_saphyr::from_str(&read(&format!("deploy/spinkube/{file}.yaml")))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A manifest as its kind; fails when it has fields that the kind has not.
fn strictly<T: DeserializeOwned + Serialize>(file: &str) -> T {
    let manifest = manifest(file);
    let typed: T = serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(serde_json::to_value(&typed).unwrap(), manifest, "{file}: left is what the kind knows of it");
    typed
}

fn spin_toml() -> toml::Table {
    toml::from_str(&read("spin.toml")).unwrap()
}

fn table<'a>(of: &'a toml::Table, name: &str) -> &'a toml::Table {
    of[name].as_table().unwrap()
}

fn app() -> SpinApp {
    strictly("spinapp")
}

#[test]
fn the_manifests_are_of_their_kinds() {
    let (app, executor) = (app(), strictly::<SpinAppExecutor>("executor"));
    let (tick, storage) = (strictly::<CronJob>("tick"), strictly::<PersistentVolumeClaim>("storage"));
    assert_eq!(app.spec.executor, executor.metadata.name.unwrap());
    let claim = &app.spec.volumes[0].persistent_volume_claim.as_ref().unwrap().claim_name;
    assert_eq!(Some(claim), storage.metadata.name.as_ref());
    assert_eq!(app.spec.volume_mounts[0].name, app.spec.volumes[0].name);
    assert_eq!(tick.spec.unwrap().schedule, "* * * * *");
    // Whatever else is there would be applied with them, unchecked.
    let files = fs::read_dir(root().join("deploy/spinkube")).unwrap();
    let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let known = ["executor.yaml", "runtime-config.toml", "spinapp.yaml", "storage.yaml", "tick.yaml"];
    assert_eq!(files, known.map(String::from).into());
}

/// With `SPINKUBE_CRDS`: a directory with the `CustomResourceDefinition`s of a release, as SpinKube publishes them.
#[test]
fn spinkube_takes_its_manifests() {
    let Some(published) = std::env::var_os("SPINKUBE_CRDS") else {
        shop_tests::note(
            "SKIPPED: spinkube_takes_its_manifests needs SpinKube's resource definitions in SPINKUBE_CRDS",
        );
        return;
    };
    for (kind, file) in [("spinapps", "spinapp"), ("spinappexecutors", "executor")] {
        let definition = Path::new(&published).join(format!("core.spinkube.dev_{kind}.yaml"));
        let definition = fs::read_to_string(&definition).unwrap_or_else(|error| panic!("{definition:?}: {error}"));
        let definition: Value = serde_saphyr::from_str(&definition).unwrap();
        let manifest = manifest(file);
        assert_eq!(kinds::refusals(&definition, &manifest), Vec::<String>::new(), "{file}");
        let mut wrong = manifest.clone();
        wrong["spec"]["replica"] = json!(1);
        wrong["kind"] = json!(1);
        let refused = kinds::refusals(&definition, &wrong);
        assert_eq!(refused.len(), 2, "{file}: {refused:?}");
        assert!(refused[0].starts_with("/kind: ") && refused[1].contains("'replica'"), "{file}: {refused:?}");
    }
}

#[test]
fn variables_are_those_of_the_shop_and_secrets_come_from_secrets() {
    let manifest = spin_toml();
    let declared = table(&manifest, "variables");
    let is_secret = |name: &str| declared[name].get("secret").and_then(toml::Value::as_bool) == Some(true);
    let app = app();
    let mut given = BTreeMap::new();
    for variable in &app.spec.variables {
        let name = variable.name.as_str();
        assert!(declared.contains_key(name), "spin.toml does not know {name}");
        let key = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
        assert_eq!(variable.value.is_some(), key.is_none(), "{name} has one value");
        assert!(key.is_some() || !is_secret(name), "{name} is no secret when it stands here");
        assert!(given.insert(name, key).is_none(), "{name} stands here twice");
    }
    for (name, variable) in declared {
        let required = variable.get("required").and_then(toml::Value::as_bool) == Some(true);
        assert!(!required || given.contains_key(name.as_str()), "{name} is required");
        assert!(!is_secret(name) || given.contains_key(name.as_str()), "nobody can set the secret {name}");
    }
    // Keys that must be there are made by the commands of the documentation.
    let docs = read("docs/deploy.md");
    let keys = given.values().flatten().filter(|key| key.optional != Some(true));
    for key in keys {
        let (made, of) = (format!("--from-literal={}=", key.key), format!("secret generic {} ", key.name));
        assert!(docs.contains(&made) && docs.contains(&of), "docs/deploy.md does not make {}/{}", key.name, key.key);
    }
    let config = app.spec.runtime_config.unwrap().load_from_secret.unwrap();
    let made = format!("secret generic {config} --from-file=runtime-config.toml=deploy/spinkube/runtime-config.toml");
    assert!(docs.contains(&made), "docs/deploy.md does not make {config}");
}

/// Every store of the shop has a place on the volume, and none shares it.
#[test]
fn databases_are_on_the_volume() {
    let config: toml::Table = toml::from_str(&read("deploy/spinkube/runtime-config.toml")).unwrap();
    let laptop: toml::Table = toml::from_str(&read("runtime-config.toml")).unwrap();
    let mount = format!("{}/", app().spec.volume_mounts[0].mount_path);
    let mut places = BTreeSet::new();
    for (kind, grant) in [("sqlite_database", "sqlite_databases"), ("key_value_store", "key_value_stores")] {
        let stores = table(&config, kind);
        assert!(stores.keys().eq(table(&laptop, kind).keys()), "{kind}: others than in runtime-config.toml");
        for component in table(&spin_toml(), "component").values() {
            let granted = component.get(grant).and_then(toml::Value::as_array);
            for label in granted.into_iter().flatten() {
                assert!(stores.contains_key(label.as_str().unwrap()), "{kind}: {label} is missing");
            }
        }
        for (label, store) in stores {
            assert_eq!(store["type"].as_str(), Some("spin"), "{label}");
            let place = store["path"].as_str().unwrap();
            assert!(place.starts_with(&mount) && places.insert(place.to_owned()), "{label}: {place}");
        }
    }
}

/// A second pod would have the same files, or others: docs/deploy.md says what is lost then.
#[test]
fn nothing_makes_two_of_what_has_its_data_in_files() {
    let spec = app().spec;
    assert_eq!((spec.replicas, spec.enable_autoscaling), (Some(1), Some(false)));
}

#[tokio::test]
async fn the_probes_are_answered() {
    let shop = Shop::start(ShopOptions::default()).await;
    let checks = app().spec.checks.unwrap();
    for probe in [checks.liveness, checks.readiness] {
        let path = probe.unwrap().http_get.unwrap().path;
        assert_eq!(shop.get(&path).await.status, 200, "{path}");
    }
}

/// A shop whose timer is outside, with an order that waits for nothing but time and another one that nobody has been told
/// of yet.
async fn forgotten() -> (Shop, i64, i64) {
    let script = Script::new();
    let shop = Shop::start(ShopOptions {
        order_timeout: TIMEOUT,
        variables: BTreeMap::from([("tick_token".into(), TOKEN.into())]),
        ..ShopOptions::controlled(script.clone())
    })
    .await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(5.0, 10).await;
    let unpaid = shop.place(&ann, mug, 2, None).await;
    shop.settle().await;
    shop.clock.advance(TIMEOUT / 2);
    script.rule(|call| match call.phase {
        Phase::Before if is_delivery(call, "inventory") => Verdict::Fail("it is down".into()),
        _ => Verdict::Proceed,
    });
    let unheard = shop.place(&ann, mug, 3, None).await;
    let failed = "SELECT min(attempts) FROM deliveries WHERE subscriber = 'inventory'";
    eventually(TIMEOUT, "the delivery fails", async || shop.value("orders", failed).as_i64() >= Some(1)).await;
    // What has been begun comes to its end first.
    let others = "SELECT count(*) FROM deliveries WHERE subscriber <> 'inventory'";
    let unsent = "SELECT count(*) FROM mails WHERE status = 'pending'";
    eventually(Duration::from_secs(20), "the shop is quiet", async || {
        shop.tick_all().await;
        let left = (shop.value("orders", others), shop.value("notifications", unsent));
        left == (json!(0), json!(0))
    })
    .await;
    script.clear();
    // The first order's time is up, and it is time to repeat the delivery. From here on only ticks do anything.
    shop.clock.advance(TIMEOUT / 2 + Duration::from_secs(1));
    (shop, unpaid, unheard)
}

fn statuses(shop: &Shop) -> Value {
    json!([
        shop.query("orders", "SELECT status FROM orders ORDER BY id"),
        shop.query("inventory", "SELECT status FROM reservations ORDER BY order_id"),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_from_outside_are_all_that_a_quiet_shop_needs() {
    needs_bench!("it moves the clock and cuts a subscriber off");
    let (shop, _, unheard) = forgotten().await;
    let before = statuses(&shop);
    assert_eq!(before, json!([[["reserved"], ["pending"]], [["held"]]]));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(statuses(&shop), before, "somebody else ticks");

    let all = ["accounts", "carts", "catalog", "inventory", "notifications", "orders", "payments"];
    let done = json!({ "services": all.map(|service| (service, "done")).into_iter().collect::<BTreeMap<_, _>>() });
    let after = json!([[["cancelled"], ["reserved"]], [["released"], ["held"]]]);
    eventually(Duration::from_secs(30), "ticks do what is to be done", async || {
        let ticked = shop.post("/tick", &json!({})).bearer(TOKEN).await;
        assert_eq!(ticked.expect(200), done);
        statuses(&shop) == after
    })
    .await;
    assert_eq!(shop.find_order(unheard).await["status"], "reserved");
    shop.settle().await;
    shop.audit();
}

/// What `tick.yaml` runs, as it stands there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cron_job_ticks_the_shop() {
    needs_bench!("it moves the clock and cuts a subscriber off");
    let job: CronJob = strictly("tick");
    let pod = job.spec.unwrap().job_template.spec.unwrap().template.spec.unwrap();
    let container = &pod.containers[0];
    let [shell, option, script] = &container.command.as_ref().unwrap()[..] else {
        panic!("not a script: {container:?}")
    };
    assert_eq!((shell.as_str(), option.as_str()), ("sh", "-c"));
    let app = app();
    let variable = app.spec.variables.iter().find(|variable| variable.name == "tick_token").unwrap();
    let key = |from: &k8s_openapi::api::core::v1::EnvVarSource| from.secret_key_ref.clone().unwrap();
    let env = &container.env.as_ref().unwrap()[0];
    assert_eq!(key(env.value_from.as_ref().unwrap()), key(variable.value_from.as_ref().unwrap()));
    let service = format!("http://{}/tick", app.metadata.name.unwrap());
    assert_eq!(script.matches(&service).count(), 1, "{script}");

    let (shop, ..) = forgotten().await;
    let script = script.replace(&service, &format!("{}/tick", shop.url()));
    let run = async |token: &'static str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("sleep() {{ command sleep 0.2; }}\n{script}")]);
        command.env("no_proxy", "*").env(&env.name, token);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let before = statuses(&shop);
    let (success, said) = run("another token").await;
    assert!(!success && said.contains("a tick wants its token"), "{said}");
    assert_eq!(statuses(&shop), before);
    eventually(Duration::from_secs(30), "the job does what is to be done", async || {
        let (success, said) = run(TOKEN).await;
        assert!(success, "{said}");
        statuses(&shop) == json!([[["cancelled"], ["reserved"]], [["released"], ["held"]]])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_has_the_token_ticks() {
    let shop = Shop::start(ShopOptions::default()).await;
    let none = "Route not found: POST /tick";
    assert_message(&shop.post("/tick", &json!({})).bearer("").await, 404, none, "without a token in the shop");
    assert_message(&shop.post("/tick", &json!({})).by(shop.admin().await).await, 404, none, "an admin");

    let variables = BTreeMap::from([("tick_token".into(), TOKEN.into())]);
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::default() }).await;
    let tick = || shop.post("/tick", &json!({}));
    tick().bearer(TOKEN).await.expect(200);
    for (call, what) in [
        (tick(), "nobody"),
        (tick().bearer("another"), "another token"),
        (tick().by(shop.admin().await), "an admin"),
        (tick().header("authorization", TOKEN), "no scheme"),
    ] {
        let answer = call.await;
        assert_message(&answer, 401, "a tick wants its token", what);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}");
    }
    assert_message(&shop.get("/tick").bearer(TOKEN).await, 405, "this resource does not do that", "GET");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_says_which_service_has_not_done_its_round() {
    needs_bench!("it cuts a service off");
    let script = Script::new();
    let variables = BTreeMap::from([("tick_token".into(), TOKEN.into())]);
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::controlled(script.clone()) }).await;
    script.rule(|call| match call.phase {
        Phase::Before if call.detail == "POST http://carts.spin.internal/internal/tick" => Verdict::Fail("gone".into()),
        _ => Verdict::Proceed,
    });
    let rounds = shop.post("/tick", &json!({})).bearer(TOKEN).await.expect(503);
    let failed: Vec<_> =
        rounds["services"].as_object().unwrap().iter().filter(|(_, round)| **round == "failed").collect();
    assert_eq!(failed, [(&"carts".to_owned(), &json!("failed"))], "{rounds}");
    script.clear();
    shop.post("/tick", &json!({})).bearer(TOKEN).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_says_where_one_is_running_already() {
    needs_bench!("it holds up a delivery");
    let script = Script::new();
    let variables = BTreeMap::from([("tick_token".into(), TOKEN.into())]);
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::controlled(script.clone()) }).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(1.0, 5).await;
    let to_inventory = |call: &HostCall<'_>| call.phase == Phase::Before && is_delivery(call, "inventory");
    script.rule(move |call| if to_inventory(call) { Verdict::Fail("gone".into()) } else { Verdict::Proceed });
    shop.place(&ann, mug, 1, None).await;
    let failed = "SELECT count(*) FROM deliveries WHERE subscriber = 'inventory' AND attempts > 0";
    eventually(Duration::from_secs(20), "it has not arrived", async || shop.value("orders", failed) == 1).await;
    script.rule(move |call| match to_inventory(call) {
        true => Verdict::Delay(Duration::from_secs(2)),
        false => Verdict::Proceed,
    });
    shop.clock.advance(Duration::from_secs(60));
    let ticks = (0..4).map(|_| shop.post("/tick", &json!({})).bearer(TOKEN).into_future());
    let rounds: Vec<_> = join_all(ticks).await.into_iter().map(|answer| answer.expect(200)).collect();
    let running = rounds.iter().filter(|rounds| rounds["services"]["orders"] == "running").count();
    assert!(running > 0, "one is as long as the delivery: {rounds:?}");
    script.clear();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_housekeeping_that_fails_holds_up_no_other() {
    needs_bench!("it makes statements fail");
    let script = Script::new();
    let shop = Shop::start(ShopOptions::controlled(script.clone())).await;
    script.rule(|call| match call.phase {
        Phase::Before if call.detail.starts_with("SELECT 1 FROM outbox WHERE created_at") => {
            Verdict::Fail("disk I/O error".into())
        }
        _ => Verdict::Proceed,
    });
    script.record();
    eventually(Duration::from_secs(20), "the tick says so", async || {
        shop.internal("catalog", Method::POST, "/internal/tick", None).await.status == 500
    })
    .await;
    let seen = script.recorded();
    for step in ["FROM idempotency_keys", "FROM rate_limits", "FROM audit_log", "FROM request_counts"] {
        let done = seen.iter().any(|seen| seen.component == "catalog" && seen.detail.contains(step));
        assert!(done, "{step}: {seen:?}");
    }
    script.clear();
    eventually(Duration::from_secs(20), "all is well again", async || {
        shop.internal("catalog", Method::POST, "/internal/tick", None).await.status == 204
    })
    .await;
}
