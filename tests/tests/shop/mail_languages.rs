//! In which language the shop writes, and in whose words.

use bodega_host::Verdict;
use serde_json::{Value, json};
use shop_tests::{Customer, Script, Shop, ShopOptions, eventually, needs_bench};

use crate::{
    mail_api,
    notifications::{PATIENCE, all_settled, open},
    support::assert_invalid,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_people_write_is_text_in_the_language_of_the_shop() {
    let api = mail_api::start().await;
    let mut options = mail_api::options(&api);
    options.variables.insert("shop_name".into(), "Laden & Söhne".into());
    options.variables.insert("shop_locale".into(), "de-DE".into());
    let shop = Shop::start(options).await;
    let ann = shop.customer("ann").await;
    let username = "<b>Ann</b> {{ 7 * 7 }}";
    shop.put("/api/v1/users/me", &json!({ "username": username })).by(&ann).await.expect(200);
    let name = "<script>alert(1)</script>{% include 'x' %}\"&";
    let body = json!({ "name": name, "description": "", "price": 1234.5, "stock": 100 });
    let mug = shop.post("/api/v1/products", &body).by(shop.admin().await).await.expect(201)["id"].as_i64().unwrap();
    shop.settle().await;
    shop.place(&ann, mug, 1, None).await;
    let mail = api.wait_for(1).await.remove(0);
    assert!(mail.text("subject").starts_with("Ihre Bestellung B-"), "{mail:?}");
    let (text, html) = (mail.text("text"), mail.text("html"));
    for fact in [&format!("Hallo {username},"), name, "1.234,50\u{a0}€", "Laden & Söhne"] {
        assert!(text.contains(fact), "{fact}: {text}");
    }
    assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains("49"), "{html}");
    for fact in ["&lt;script&gt;alert(1)", "&lt;b&gt;Ann&lt;", "{{ 7 * 7 }}", "1.234,50\u{a0}€", "Laden &amp; Söhne"]
    {
        assert!(html.contains(fact), "{fact}: {html}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_written_to_in_the_own_language_if_the_shop_has_it() {
    let (api, shop, ann) = open().await;
    let body = json!({ "email": "bob@example.com", "password": ann.password, "locale": "DE-at" });
    let bob = shop.post("/api/v1/auth/register", &body).await.expect(201);
    assert_eq!(bob["locale"], "de-AT");
    let bob = shop.sign_in("bob@example.com", &ann.password).await;
    let mug = shop.product(5.0, 500).await;
    shop.settle().await;
    let speak = async |locale: Value| {
        let patch =
            shop.request(reqwest::Method::PATCH, "/api/v1/users/me").json(&json!({ "locale": locale })).by(&ann);
        assert_eq!(patch.await.expect(200)["locale"], locale);
        shop.settle().await;
    };
    let last = async |by: &Customer, count: usize| {
        shop.place(by, mug, 1, None).await;
        api.wait_for(count).await;
        api.work().subjects(&by.email).pop().unwrap()
    };
    assert!(last(&bob, 1).await.starts_with("Ihre Bestellung "));
    assert!(last(&ann, 2).await.starts_with("Your order "), "she has not said");
    speak(json!("de")).await;
    assert!(last(&ann, 3).await.starts_with("Ihre Bestellung "));
    speak(json!("fr-CA")).await;
    assert!(last(&ann, 4).await.starts_with("Your order "), "no such templates");
    speak(Value::Null).await;
    assert!(last(&ann, 5).await.starts_with("Your order "));
    for wrong in [json!("german please"), json!("de_AT"), json!(""), json!(7)] {
        let patch = shop.request(reqwest::Method::PATCH, "/api/v1/users/me").json(&json!({ "locale": wrong }));
        assert_invalid(&patch.by(&ann).await, &["locale"], &wrong.to_string());
        let body = json!({ "email": "eve@example.com", "password": ann.password, "locale": wrong });
        assert_invalid(&shop.post("/api/v1/auth/register", &body).await, &["locale"], &wrong.to_string());
    }
    all_settled(&shop, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_language_of_a_reader_is_known_also_when_the_order_comes_first() {
    needs_bench!("it holds up calls between components");
    let script = Script::new();
    let api = mail_api::start().await;
    let shop = Shop::start(ShopOptions { control: Some(script.clone()), ..mail_api::options(&api) }).await;
    let mug = shop.product(5.0, 500).await;
    shop.settle().await;
    script.rule(|call| {
        let news = call.component == "accounts" && call.detail.contains("//notifications.spin.internal");
        if news { Verdict::Fail("no connection".into()) } else { Verdict::Proceed }
    });
    let ann = shop.customer("ann").await;
    shop.put("/api/v1/users/me", &json!({ "locale": "de" })).by(&ann).await.expect(200);
    shop.place(&ann, mug, 1, None).await;
    assert!(api.wait_for(1).await.remove(0).text("subject").starts_with("Ihre Bestellung "));
    script.clear();
    shop.settle_over_time().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_read_why_in_the_language_of_the_mail() {
    let api = mail_api::start().await;
    let mut options = mail_api::options(&api);
    options.variables.insert("shop_locale".into(), "de".into());
    let shop = Shop::start(options).await;
    let ann = shop.customer("ann").await;
    let mug = shop.product(12.5, 2).await;
    shop.settle().await;
    let text_of = async |subject: &str| {
        let find = || api.work().all().into_iter().find(|mail| mail.text("subject").ends_with(subject));
        eventually(PATIENCE, subject, async || find().is_some()).await;
        let text = find().unwrap().text("text").to_owned();
        api.work().empty();
        text
    };
    for (token, quantity, why) in [
        ("tok_declined", 1, "Die Zahlung wurde abgelehnt."),
        ("tok_insufficient_funds", 1, "Das Konto ist nicht gedeckt."),
        // Nobody would understand this one.
        ("tok_unheard_of", 1, "Es wurde nichts abgebucht.\n\nSie können gern erneut bestellen."),
        ("tok_visa", 3, "Nicht alles davon ist noch vorrätig."),
    ] {
        let order = shop.place(&ann, mug, quantity, Some(token)).await;
        shop.wait_for(order, "failed").await;
        let text = text_of("konnte nicht ausgeführt werden").await;
        assert!(text.contains(why), "{token}: {text}");
        assert!(!text.contains("wanted") && !text.contains("card"), "{text}");
    }
    for (by, body, why) in [
        (&ann, json!({}), "Sie haben sie storniert."),
        (shop.admin().await, json!({}), "Der Shop hat sie storniert."),
        (shop.admin().await, json!({ "reason": "Leider zerbrochen" }), "Grund: Leider zerbrochen"),
    ] {
        let order = shop.place(&ann, mug, 1, None).await;
        shop.post(format!("/api/v1/orders/{order}/cancel"), &body).by(by).await.expect(200);
        let text = text_of("ist storniert").await;
        assert!(text.contains(why) && !text.contains("by the"), "{text}");
    }
}
