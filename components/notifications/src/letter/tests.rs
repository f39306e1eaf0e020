use proptest::prelude::*;

use super::*;

fn frame(locale: Locale) -> Frame<'static> {
    Frame { shop: "Bodega", locale, name: Some("Ann"), product: Some("Stoneware mug") }
}

fn of(content: &Content, locale: Locale) -> Letter {
    write(content, frame(locale)).unwrap()
}

#[test]
fn every_kind_is_written_in_every_language_with_its_facts() {
    for (kind, facts, en, de) in [
        (Kind::OrderPlaced, &["B-2026-000123", "Stoneware mug"][..], "€33.90", "33,90\u{a0}€"),
        (Kind::OrderPaid, &["B-2026-000123"], "€33.90", "33,90\u{a0}€"),
        (Kind::OrderShipped, &["Stoneware mug", "carrier.example"], "is on its way", "ist unterwegs"),
        (Kind::OrderCancelled, &["B-2026-000123"], "goes back to you", "bekommen Sie zurück"),
        (Kind::OrderFailed, &["B-2026-000123"], "not been charged", "nichts abgebucht"),
        (Kind::OrderRefunded, &["B-2026-000123"], "€14.50 of €33.90", "14,50\u{a0}€ von 33,90\u{a0}€"),
        (Kind::LowStock, &["Stoneware mug", "4", "5"], "only 4", "nur noch 4"),
        (Kind::PasswordReset, &["00000-00000"], "1 January 1970, 00:00 UTC", "1. Januar 1970, 00:00 UTC"),
        (Kind::Test, &["Bodega"], "Mails of", "Mails von"),
    ] {
        for locale in Locale::ALL {
            let letter = of(&sample_of(kind), locale);
            let word = if locale == Locale::En { en } else { de };
            for fact in facts.iter().chain([&word]) {
                assert!(letter.text.contains(fact), "{kind} {locale:?}: {fact} in {}", letter.text);
                assert!(letter.html.contains(fact), "{kind} {locale:?}: {fact} in {}", letter.html);
            }
            for text in [&letter.text, &letter.html] {
                assert!(text.contains("Ann"), "{text}");
                assert!(!text.contains("{%") && !text.contains("{{"), "{text}");
            }
            assert!(letter.html.contains(&format!("<html lang=\"{}\">", locale.code())), "{}", letter.html);
            assert!(!letter.subject.is_empty() && !letter.text.contains("\n\n\n"), "{letter:?}");
        }
    }
}

#[test]
fn a_text_is_laid_out() {
    let letter = of(&sample_of(Kind::OrderPlaced), Locale::En);
    assert_eq!(letter.subject, "Your order B-2026-000123");
    assert_eq!(
        letter.text,
        "Hello Ann,\n\nThank you for your order B-2026-000123. This is what you have ordered:\n\n\
         2 x Stoneware mug, each €14.50: €29.00\n\nItems: €29.00\nShipping: €4.90\nTotal: €33.90\n\n\
         We write to you again when it is paid, and when it is on its way.\n\nBodega\n\n--\n\
         This mail was sent by Bodega. It was written by a program: nobody reads an answer to it.\n"
    );
}

#[test]
fn what_is_not_known_is_left_out() {
    let content =
        Content::LowStock(StockLow { product_id: ProductId(7), supplier_id: None, available: 1, threshold: 2 });
    let letter = write(&content, Frame { name: None, product: None, ..frame(Locale::En) }).unwrap();
    assert_eq!(letter.subject, "Product 7: only 1 left");
    assert!(letter.text.starts_with("Hello,\n\nOf product 7 only 1 can"), "{}", letter.text);
}

#[test]
fn reasons_are_in_the_language_of_the_mail_and_codes_in_none() {
    let Content::Failed(failed) = sample_of(Kind::OrderFailed) else { unreachable!() };
    let Content::Cancelled(cancelled) = sample_of(Kind::OrderCancelled) else { unreachable!() };
    let fails = |reason: &str| Content::Failed(OrderFailed { reason: reason.to_owned(), ..failed.clone() });
    let cancels = |reason: &str| Content::Cancelled(OrderCancelled { reason: reason.to_owned(), ..cancelled.clone() });
    for (content, en, de) in [
        (fails("product 7: 3 wanted, 2 available"), "in stock any more.", "noch vorrätig."),
        (fails("card-declined"), "The payment was declined.", "Die Zahlung wurde abgelehnt."),
        (fails("expired-card"), "the card has expired.", "Die Karte ist abgelaufen."),
        (cancels("by the customer"), "You have cancelled it.", "Sie haben sie storniert."),
        (cancels("not paid in time"), "not paid in time.", "nicht rechtzeitig bezahlt."),
        (cancels("We have broken it <sorry>"), "Reason: We have broken it", "Grund: We have broken it"),
    ] {
        for (locale, fact) in [(Locale::En, en), (Locale::De, de)] {
            let letter = of(&content, locale);
            assert!(letter.text.contains(fact) && letter.html.contains(fact), "{fact}: {letter:?}");
            assert!(!letter.html.contains("<sorry>") && !letter.text.contains("wanted"), "{letter:?}");
        }
    }
    let said_nothing = of(&fails(""), Locale::De);
    for reason in ["fraudulent", "invalid-token", "the order is over"] {
        assert_eq!(of(&fails(reason), Locale::De), said_nothing, "{reason}");
    }
    // Every word has a text of its own in every language.
    for locale in Locale::ALL {
        let path = format!("{}/reason.txt", locale.code());
        let texts = reason::ALL.map(|reason| {
            environment().get_template(&path).unwrap().render(context! { reason }).unwrap().trim().to_owned()
        });
        assert!(texts.iter().all(|text| text.ends_with('.')), "{texts:?}");
        assert_eq!(texts.iter().collect::<std::collections::HashSet<_>>().len(), texts.len(), "{texts:?}");
    }
}

#[test]
fn nobody_is_greeted_with_a_link() {
    for (name, greeted) in [
        ("Ann Lee", true),
        ("ann.lee", true),
        ("Ann/Lee", true),
        ("<b>Ann</b>", true),
        ("Account locked: https://evil.example/x", false),
        ("Account locked: HTTPS://EVIL.EXAMPLE", false),
        ("see WWW.evil.example", false),
        ("see evil.example/x now", false),
    ] {
        let letter = write(&sample_of(Kind::OrderPlaced), Frame { name: Some(name), ..frame(Locale::En) }).unwrap();
        assert_eq!(letter.text.starts_with("Hello,\n"), !greeted, "{}", letter.text);
        let cancelled = OrderCancelled {
            reason: name.to_owned(),
            ..match sample_of(Kind::OrderCancelled) {
                Content::Cancelled(cancelled) => cancelled,
                _ => unreachable!(),
            }
        };
        assert_eq!(of(&Content::Cancelled(cancelled), Locale::En).text.contains("Reason:"), greeted, "{name}");
        for text in [letter.text.to_lowercase(), letter.html.to_lowercase()] {
            assert!(!text.contains("evil.example"), "{text}");
        }
    }
}

#[test]
fn only_pages_of_the_web_are_links() {
    for (tracking, link) in [
        ("https://carrier.example/1?a=b&c=\"d\"", true),
        ("http://carrier.example", true),
        ("javascript:alert(1)", false),
        ("data:text/html,x", false),
        ("https://a b", false),
        ("00340434", false),
    ] {
        let Content::Shipped(shipped) = sample_of(Kind::OrderShipped) else { unreachable!() };
        let letter = of(&Content::Shipped(OrderShipped { tracking: Some(tracking.to_owned()), ..shipped }), Locale::En);
        assert_eq!(letter.html.contains("<a href=\"http"), link, "{}", letter.html);
        assert_eq!(letter.html.matches("<a ").count(), usize::from(link), "{}", letter.html);
        assert!(letter.text.contains(tracking), "{}", letter.text);
    }
}

#[test]
fn a_trial_shows_what_it_is_a_sample_of() {
    let trial = |sample, locale| Content::Test(Trial { sample, locale });
    let placed = of(&trial(Some(Kind::OrderPlaced), Some(Locale::De)), Locale::En);
    assert_eq!(placed.subject, "[Test] Ihre Bestellung B-2026-000123");
    assert_eq!(of(&trial(Some(Kind::Test), None), Locale::En).subject, "A test mail from Bodega");
    assert_eq!(of(&trial(None, None), Locale::De).subject, "Eine Testmail von Bodega");
}

/// Whatever people may write into a name, and what they should not.
fn anything() -> impl Strategy<Value = String> {
    let bad = prop::sample::select(vec![
        "<script>alert(1)</script>",
        "{{ 7 * 7 }}",
        "{% raw %}",
        "{# x",
        "\r\nBcc: eve@example.com",
        "\n\n",
        "\0",
        "\"><img src=x>",
        "' onload='",
        "&amp;",
        "\u{202e}",
        "\u{2028}",
        "</title>",
        "]]>",
        "<!--",
    ]);
    prop::collection::vec(prop_oneof![bad.prop_map(ToOwned::to_owned), any::<String>()], 0..4)
        .prop_map(|parts| parts.concat())
}

/// Content of every kind that says `text` wherever people can say something.
fn contents(text: &str) -> Vec<Content> {
    let all = Kind::ALL.iter().map(|kind| sample_of(*kind));
    let said = |content| match content {
        Content::Placed(placed) => {
            let items = placed.items.into_iter().map(|item| SoldItem { name: text.to_owned(), ..item }).collect();
            Content::Placed(OrderPlaced { items, ..placed })
        }
        Content::Shipped(shipped) => {
            let items = shipped.items.into_iter().map(|item| SoldItem { name: text.to_owned(), ..item }).collect();
            Content::Shipped(OrderShipped { items, tracking: Some(text.to_owned()), ..shipped })
        }
        Content::Cancelled(cancelled) => Content::Cancelled(OrderCancelled { reason: text.to_owned(), ..cancelled }),
        Content::Failed(failed) => Content::Failed(OrderFailed { reason: text.to_owned(), ..failed }),
        Content::PasswordReset(code) => Content::PasswordReset(Code { code: text.to_owned(), ..code }),
        other => other,
    };
    all.map(said).collect()
}

/// The names of the elements of a page: what only an escape that is missing could add to.
fn elements(html: &str) -> Vec<String> {
    let names = html.split('<').skip(1).map(|rest| rest.split([' ', '>', '\n']).next().unwrap_or_default().to_owned());
    names.collect()
}

proptest! {
    #[test]
    fn whatever_people_are_called_a_letter_stays_what_it_is(text in anything(), locale in prop::sample::select(Locale::ALL.to_vec())) {
        // What is of no length is left out, and so is what would have stood around it.
        let plain = if one_line(&text).is_empty() { String::new() } else { "plain".to_owned() };
        // What may become a link is left out, too, where people say what they want.
        let (page, link) = (is_page(&text), is_link(&text));
        let name = if link { "" } else { &plain };
        for (content, harmless) in contents(&text).iter().zip(&contents(&plain)) {
            if link && matches!(content, Content::Cancelled(_)) {
                continue;
            }
            let letter = write(content, Frame { shop: &text, locale, name: Some(&text), product: Some(&text) }).unwrap();
            let expected = write(harmless, Frame { shop: &plain, locale, name: Some(name), product: Some(&plain) }).unwrap();
            prop_assert!(!letter.subject.contains(char::is_control), "{:?}", letter.subject);
            prop_assert!(letter.subject.chars().count() <= LONGEST_SUBJECT + 10);
            if !page {
                prop_assert_eq!(elements(&letter.html), elements(&expected.html), "{}", &letter.html);
            }
            prop_assert_eq!(letter.text.lines().count(), expected.text.lines().count(), "{}", &letter.text);
            for line in [&letter.text, &letter.html] {
                prop_assert!(!line.contains(['\r', '\0', '\u{202e}']), "{:?}", line);
            }
        }
    }
}
