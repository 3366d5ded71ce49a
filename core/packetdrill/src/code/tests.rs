//! Pieces of code as scripts have them, and what is not among them.

use super::*;
use proptest::prelude::*;

fn info(name: &str) -> Option<i128> {
    match name {
        "tcpi_snd_cwnd" => Some(10),
        "tcpi_snd_ssthresh" => Some(0x7fff_ffff),
        "tcpi_ca_state" => Some(3),
        "tcpi_options" => Some(15),
        "tcpi_rtt" => Some(100_250),
        _ => None,
    }
}

fn check(text: &str) -> Result<(), CodeError> {
    run(text, &info)
}

#[test]
fn what_scripts_say_holds() {
    for text in [
        "assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd",
        "assert tcpi_snd_cwnd == 10, 'cwnd=%d' % tcpi_snd_cwnd",
        "\nassert tcpi_ca_state == TCP_CA_Recovery, tcpi_ca_state\n\n# why\nassert tcpi_snd_cwnd == 10,tcpi_snd_cwnd   # so\n",
        "assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd; assert tcpi_ca_state != TCP_CA_Open, \"%s\" % tcpi_ca_state;",
        "assert tcpi_options == (TCPI_OPT_TIMESTAMPS | TCPI_OPT_SACK | TCPI_OPT_WSCALE | TCPI_OPT_ECN)",
        "assert (tcpi_options & TCPI_OPT_SACK) != 0",
        "assert tcpi_snd_ssthresh == TCP_INFINITE_SSTHRESH",
        "assert 100000 <= tcpi_rtt <= 101000, tcpi_rtt",
        "assert abs(tcpi_rtt - 100000) < 1000 and tcpi_snd_cwnd > 0",
        "assert tcpi_snd_cwnd in (9, 10, 11) and tcpi_snd_cwnd not in [1, 2]",
        "assert not tcpi_snd_cwnd == 3 or False",
        "a = 5\nb = a * 2\nassert tcpi_snd_cwnd == b",
        "a = 3; a += 7; assert a == tcpi_snd_cwnd",
        "if tcpi_snd_cwnd == 9:\n  assert False\nelif tcpi_snd_cwnd == 10:\n  pass\nelse:\n  assert 0\nassert True",
        "if tcpi_snd_cwnd == 10: a = 1\nelse: a = 2\nassert a == 1",
        "n = 0\nfor i in range(5):\n\tn += i\nassert n == 10",
        "print(tcpi_snd_cwnd, 'x'); print tcpi_snd_cwnd",
        "assert (1 if tcpi_snd_cwnd > 5 else 2) == 1",
        "assert (tcpi_snd_cwnd ==\n  10), 'lines'",
        "assert tcpi_snd_cwnd == \\\n  10",
        "import sys\nassert 1",
        "   assert 1\nassert 1\nassert 1",
        "",
        "# nothing",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
}

#[test]
fn numbers_are_pythons() {
    for text in [
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "2 ** 3 ** 2 == 512",
        "-2 ** 2 == -4",
        "-7 // 2 == -4",
        "-7 % 3 == 2",
        "7 % -3 == -2",
        "7 / 2 == 3.5",
        "1 << 4 | 1 == 17",
        "6 ^ 3 == 5 and ~0 == -1",
        "0x10 == 16 and 0b11 == 3 and 1e3 == 1000 and .5 == 0.5",
        "min(3, 1, 2) == 1 and max([1, 3, 2]) == 3",
        "len((1, 2, 3)) == 3 and len('ab') == 2",
        "int(2.9) == 2 and int('7') == 7 and round(2.5) == 2 and round(3.5) == 4",
        "(1, 2) == (1, 2) and (1, 2) < (1, 3) and [1, 2][-1] == 2",
        "'a' 'b' == 'ab' and 'a' in 'cab'",
        "'%d of %s, %x%%' % (1, 'x', 255) == '1 of x, ff%'",
        "None is None and 1 is not None",
        "sum([1, 2]) == 3 and all([1, 1]) and not any([0, 0])",
    ] {
        assert_eq!(check(&format!("assert {text}")), Ok(()), "{text}");
    }
}

#[test]
fn an_assertion_that_fails_says_what_it_saw() {
    let error =
        check("\nassert 1\nassert tcpi_snd_cwnd ==  7 and tcpi_ca_state == TCP_CA_Open, tcpi_snd_cwnd")
            .unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3 of the code: assert tcpi_snd_cwnd == 7 and tcpi_ca_state == TCP_CA_Open, but tcpi_snd_cwnd is 10, tcpi_ca_state is 3: 10"
    );
    let error = check("assert tcpi_snd_cwnd == 7, 'cwnd is %d' % tcpi_nothing").unwrap_err();
    assert_eq!(error.to_string(), "line 1 of the code: assert tcpi_snd_cwnd == 7, but tcpi_snd_cwnd is 10");
}

#[test]
fn what_one_piece_assigns_the_later_ones_know() {
    let mut code = Code::default();
    code.run("THRESHOLD = 5 * 2", &info).unwrap();
    code.run("assert tcpi_snd_cwnd == THRESHOLD", &info).unwrap();
}

#[test]
fn states_go_by_the_names_of_both_systems() {
    for (name, number) in
        [("TCPI_ESTABLISHED", 1), ("TCPI_CLOSED", 7), ("TCPI_SYN_RECEIVED", 3), ("TCP_SYN_RECV", 3)]
    {
        let text = format!("assert tcpi_state == {name}");
        assert_eq!(run(&text, &|name| (name == "tcpi_state").then_some(number)), Ok(()), "{name}");
    }
}

#[test]
fn what_is_not_known_is_told_by_name() {
    assert_eq!(check("assert tcpi_moon == 1"), Err(CodeError::Unknown("tcpi_moon".into())));
    for (text, what) in [
        ("def f(): pass", "line 1 of the code: expected what scripts use of Python, found 'def'"),
        ("\nassert 1 +", "line 2 of the code: expected an expression, found the end of the line"),
        ("assert f(1)", "'f' of (1)"),
        ("assert 1 / 0", "'/' of 1 and 0"),
        ("assert 'a' < 1", "'<' of a and 1"),
        ("assert 2 ** 1000", "'**' of 2 and 1000"),
        ("a = 'x'.upper()", "'.upper'"),
        ("assert 1\nassert 1\n  assert 2", "further to the right"),
        ("if 1:\nassert 2", "nothing behind ':'"),
        ("assert ?", "no Python at '?'"),
        ("for i in range(100000): pass", "'range'"),
        ("for i in range(9999):\n  for j in range(9999): pass", "a loop without end"),
        ("assert 'x", "no Python at '''"),
    ] {
        let error = check(text).expect_err(text).to_string();
        assert!(error.contains(what), "{text}: {error}");
    }
}

#[test]
fn nothing_nests_so_deep_that_the_stack_ends() {
    for text in [
        format!("assert {}1", "(".repeat(100_000)),
        format!("assert {}1", "-".repeat(100_000)),
        format!("assert {}1", "not ".repeat(100_000)),
        format!("assert 1{}", " + 1".repeat(100_000)),
        format!("assert 1{}", " or 1".repeat(100_000)),
        format!("assert 1{}", " ** 1".repeat(100_000)),
        format!("assert a{}", "[1]".repeat(100_000)),
        format!("assert {}", "1 if 1 else ".repeat(100_000)),
        (0..1000).map(|n| format!("{}if 1:\n", " ".repeat(n))).collect(),
    ] {
        let _ = check(&text);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,100}") {
        let _ = check(&text);
    }

    #[test]
    fn no_mixture_of_its_own_words_makes_it_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "assert", "tcpi_snd_cwnd", "==", "1", "0x7f", "(", ")", "[", "]", ",", "\n", "  ", ":", "if", "else", "elif", "for",
                "in", "range", "min", "'%d'", "%", "**", "//", "-", "not", "and", "=", "+=", "print", ";", "#", "\\\n", "1e9", "<<", "9",
            ]),
            0..30,
        )
    ) {
        let _ = check(&words.join(" "));
    }
}
