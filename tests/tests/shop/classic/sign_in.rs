//! Registering and signing in, in all families: one account, one password, one sign-in, whatever a client calls them.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use serde_json::json;
use shop_tests::{Shop, ShopOptions, eventually, needs_bench};

use super::accounts::{account, log_in, open, patch};
use crate::support::assert_message;

/// Where accounts are opened, by anyone.
const REGISTER: [&str; 5] =
    ["/auth/register", "/register", "/api/auth/register", "/auth/signup", "/api/v1/auth/register"];
/// Where people sign in, and what they are told who fail.
const LOGIN: [(&str, u16, &str); 3] = [
    ("/auth/login", 401, "the email address or the password is wrong"),
    ("/login", 400, "Invalid password"),
    ("/api/auth/login", 401, "the email address or the password is wrong"),
];
/// What each family shows of the caller.
const ME: [&str; 6] =
    ["/auth/me", "/account/me", "/validate", "/api/auth/profile", "/auth/session", "/api/v1/users/me"];

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_one_account_in_all_families() {
    let shop = open().await;
    for round in 0..3 {
        let body = account(&format!("ann{round}"));
        let answers = join_all(REGISTER.map(|path| shop.post(path, &body).send())).await;
        let mut statuses: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().status.as_u16()).collect();
        let opened = statuses.iter().filter(|status| **status == 201).count();
        statuses.retain(|status| ![201, 400, 409].contains(status));
        assert_eq!((opened, statuses), (1, vec![]));
    }
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_comes_again_with_its_key_opens_one_account() {
    let shop = open().await;
    for (number, path) in REGISTER.into_iter().enumerate() {
        let body = account(&format!("ann{number}"));
        let send = || shop.post(path, &body).key("the same in all families");
        let answers: Vec<_> = join_all((0..3).map(|_| send().send())).await.into_iter().map(Result::unwrap).collect();
        let again = send().await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{path}");
        for answer in &answers {
            assert_eq!((answer.status, &answer.text), (again.status, &again.text), "{path}");
        }
        again.expect(201);
        let other = shop.post(path, &account("bob")).key("the same in all families").await;
        assert_eq!(other.status, 422, "{path}: {}", other.text);
        // Whatever an account is made of counts, but for its password.
        let mut richer = body.clone();
        richer["shippingAddress"] = json!("1 Main St");
        let richer = shop.post(path, &richer).key("the same in all families").await;
        assert_eq!(richer.status.as_u16(), if path.starts_with("/api/v1") { 201 } else { 422 }, "{path}");
    }
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users"), 6);
    let kept = shop.value("accounts", "SELECT group_concat(body || fingerprint) FROM idempotency_keys").to_string();
    assert!(!kept.contains("'s password"), "{kept}");
}

#[tokio::test]
async fn a_sign_in_in_one_family_is_good_in_every_other() {
    let shop = open().await;
    for (number, register) in REGISTER.into_iter().enumerate() {
        let name = format!("ann{number}");
        let (email, password) = (format!("{name}@example.com"), format!("{name}'s password"));
        shop.post(register, &account(&name)).await.expect(201);
        for (login, ..) in LOGIN.into_iter().chain([("/api/v1/auth/login", 0, "")]) {
            let signed_in = log_in(&shop, login, &email, &password).await.expect(200);
            let token = signed_in["token"].as_str().or(signed_in["accessToken"].as_str()).unwrap();
            for me in ME {
                let shown = shop.get(me).bearer(token).await;
                assert!(shown.text.contains(&email), "{register}, {login}, {me}: {}", shown.text);
                shown.expect(200);
            }
        }
    }
    // What was promised of the tokens holds, too.
    let signed_in = log_in(&shop, "/auth/login", "ann0@example.com", "ann0's password").await.expect(200);
    assert_eq!((&signed_in["tokenType"], &signed_in["expiresIn"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(signed_in["user"]["email"], "ann0@example.com");
    let refresh = json!({ "refreshToken": signed_in["refreshToken"] });
    shop.post("/api/v1/auth/refresh", &refresh).await.expect(200);
}

#[tokio::test]
async fn a_name_signs_in_the_first_account_that_took_it() {
    let shop = open().await;
    let by_name = async |name: &str, password: &str| {
        let answer = shop.post("/auth/login", &json!({ "username": name, "password": password })).await;
        (answer.status.as_u16(), answer.body["user"]["email"].as_str().map(str::to_owned))
    };
    let body = |email: &str| json!({ "username": "Ann", "email": email, "password": format!("{email}'s password") });
    let (first, second) = ("first@example.com", "second@example.com");
    for (path, email) in [("/auth/register", first), ("/register", second)] {
        shop.post(path, &body(email)).await.expect(201);
    }
    let passwords = [format!("{first}'s password"), format!("{second}'s password")];
    for name in ["Ann", " ann ", first] {
        assert_eq!(by_name(name, &passwords[0]).await, (200, Some(first.to_owned())), "{name}");
    }
    // Nobody is told why.
    assert_eq!(by_name("ann", &passwords[1]).await, (401, None), "the second's password");
    assert_eq!(by_name("nobody", &passwords[1]).await, (401, None));
    assert_eq!(by_name(second, &passwords[1]).await.0, 200, "by its address");
    let api = shop.post("/api/v1/auth/login", &json!({ "email": "ann", "password": passwords[0] })).await;
    assert_eq!(api.status, 401, "the API knows addresses only");
    // A name that nobody has is there for whoever takes it next.
    let (ann, other) = (shop.sign_in(first, &passwords[0]).await, shop.sign_in(second, &passwords[1]).await);
    patch(&shop, &ann, &json!({ "username": "Bob" })).await.expect(200);
    assert_eq!(by_name("bob", &passwords[0]).await.0, 200);
    assert_eq!(by_name("ann", &passwords[0]).await.0, 401);
    patch(&shop, &other, &json!({ "username": "Anna" })).await.expect(200);
    patch(&shop, &other, &json!({ "username": "BOB" })).await.expect(200);
    assert_eq!(by_name("bob", &passwords[0]).await.0, 200, "nobody can take it away");
    shop.delete(format!("/users/{}", ann.id)).by(&ann).await.expect(204);
    assert_eq!(by_name("bob", &passwords[0]).await.0, 401, "deleted");
    // An address is no name: nobody is signed in by that of somebody else.
    patch(&shop, &other, &json!({ "username": "admin@example.com" })).await.expect(200);
    assert_eq!(by_name("admin@example.com", &passwords[1]).await.0, 401);
    shop.settle().await;
    shop.audit();
}

#[tokio::test]
async fn who_fails_waits_in_every_family() {
    needs_bench!("it moves the clock");
    let shop = open().await;
    for (number, (path, status, message)) in LOGIN.into_iter().enumerate() {
        let ann = shop.customer(&format!("ann{number}")).await;
        for email in [ann.email.as_str(), "nobody@example.com"] {
            let known = email == ann.email || status == 401;
            let (status, message) = if known { (status, message) } else { (404, "User not found") };
            for _ in 0..5 {
                assert_message(&log_in(&shop, path, email, "wrong").await, status, message, path);
            }
            // In all of them, and nobody learns whether the password is right.
            for (elsewhere, ..) in LOGIN {
                let answer = log_in(&shop, elsewhere, email, &ann.password).await;
                let seconds = answer.header("retry-after").unwrap();
                assert!(["1", "2"].contains(&seconds), "{elsewhere}: {seconds}");
                assert_message(&answer, 429, &format!("too many requests: try again in {seconds} s"), elsewhere);
            }
            let api = log_in(&shop, "/api/v1/auth/login", email, &ann.password).await;
            assert_eq!(api.status, 429, "{}", api.text);
            shop.clock.advance(Duration::from_secs(26 * 60 * 60));
        }
        log_in(&shop, path, &ann.email, &ann.password).await.expect(200);
    }
    // Failures at a name are counted at the name, whether or not somebody has it.
    for name in ["ann0", "nobody"] {
        let log_in = |password: &str| shop.post("/auth/login", &json!({ "username": name, "password": password }));
        for _ in 0..5 {
            assert_eq!(log_in("wrong").await.status, 401, "{name}");
        }
        assert_eq!(log_in("ann0's password").await.status, 429, "{name}");
    }
    log_in(&shop, "/auth/login", "ann0@example.com", "ann0's password").await.expect(200);
}

#[tokio::test]
async fn a_suspended_account_gets_nowhere() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let token = shop.access_token(&ann).await;
    let status = json!({ "status": "suspended" });
    shop.put(format!("/api/v1/users/{}/status", ann.id), &status).by(shop.admin().await).await.expect(200);
    for (path, status, message) in LOGIN {
        assert_message(&log_in(&shop, path, &ann.email, &ann.password).await, status, message, path);
    }
    for me in ME {
        let answer = shop.get(me).bearer(&token).await;
        assert_eq!(answer.status.as_u16(), if me == "/validate" { 403 } else { 401 }, "{me}: {}", answer.text);
    }
    let change = shop.put(format!("/users/{}", ann.id), &json!({ "name": "Ann" })).bearer(&token).await;
    assert_eq!(change.status, 401, "{}", change.text);
    assert_eq!(shop.delete(format!("/users/{}", ann.id)).bearer(&token).await.status, 401);
    assert_eq!(shop.value("accounts", "SELECT count(*) FROM users WHERE deleted_at IS NOT NULL"), 0);
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_the_code_and_a_known_one_by_its_owner() {
    let shop = open().await;
    let ann = shop.customer("ann").await;
    let known = shop.post("/auth/forgot-password", &json!({ "email": ann.email })).await.expect(200);
    let unknown = shop.post("/auth/forgot-password", &json!({ "email": "nobody@example.com" })).await.expect(200);
    assert_eq!(known, unknown);
    let find = "SELECT json_extract(data, '$.code') FROM mails WHERE recipient = 'ann@example.com'";
    let there = async || shop.value("notifications", find).is_string();
    eventually(Duration::from_secs(20), "the code is written", there).await;
    let code = shop.value("notifications", find);
    let reset = json!({ "email": ann.email, "code": code, "password": "a better horse" });
    shop.post("/auth/reset-password/otp", &reset).await.expect(200);
    assert_eq!(shop.post("/auth/reset-password/otp", &reset).await.status, 400, "a second time");
    assert_eq!(shop.get("/auth/session").by(&ann).await.status, 401, "signed out");

    for (old, new, body) in [
        (
            "a better horse",
            "second horse",
            json!({ "currentPassword": "a better horse", "newPassword": "second horse" }),
        ),
        ("second horse", "third horse", json!({ "oldPassword": "second horse", "password": "third horse" })),
        ("third horse", "fourth horse", json!({ "password": "third horse", "newPassword": "fourth horse" })),
    ] {
        let (ann, elsewhere) = (shop.sign_in(&ann.email, old).await, shop.sign_in(&ann.email, old).await);
        let done = shop.post("/auth/reset-password", &body).by(&ann).await.expect(200);
        assert_eq!(done, json!({ "message": "the password is changed" }));
        shop.get("/auth/session").by(&ann).await.expect(200);
        shop.get("/auth/session").by(&elsewhere).await.expect(401);
        log_in(&shop, "/auth/login", &ann.email, new).await.expect(200);
        assert_eq!(log_in(&shop, "/auth/login", &ann.email, old).await.status, 401);
    }
}

#[tokio::test]
async fn attempts_to_get_in_are_counted_together_whatever_the_family() {
    needs_bench!("it stops the clock within a window");
    let paths = [
        "/auth/register",
        "/auth/signup",
        "/auth/login",
        "/auth/forgot-password",
        "/auth/reset-password/otp",
        "/register",
        "/login/",
        "/api/auth/register",
        "/api/auth/login",
    ];
    let limits = [("auth_rate_limit_max", paths.len().to_string()), ("rate_limit_window_ms", "3600000".to_owned())];
    let variables = BTreeMap::from(limits.map(|(name, value)| (name.to_owned(), value)));
    let shop = Shop::start(ShopOptions { variables, ..ShopOptions::default() }).await;
    for (number, path) in paths.into_iter().enumerate() {
        let answer = shop.post(path, &json!({})).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        let left = (paths.len() - number - 1).to_string();
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.as_str()), "{path}");
    }
    let refused = shop.post("/login", &json!({})).await;
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|wait| wait > 0)));
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.starts_with("too many requests: try again in"), "{message}");
    assert_eq!(refused.body.as_object().unwrap().len(), 1, "{}", refused.text);
    assert_eq!(shop.get("/auth/session").await.status, 401, "what is no attempt is counted apart");
}
