"""Topic names, as INTERFACES section 4 and DESIGN sections 6 to 8 spell them."""

from firmware.link.topics import Topics


def test_topics_are_named_as_the_design_spells_them():
    topics = Topics("home", "left-garage")
    assert topics.settings == "tapgate/home/left-garage/settings"
    assert topics.allowlist == "tapgate/home/left-garage/allowlist"
    assert topics.command == "tapgate/home/left-garage/command"
    assert topics.verdict == "tapgate/home/left-garage/verdict"
    assert topics.state == "tapgate/home/left-garage/state"
    assert topics.event == "tapgate/home/left-garage/event"
    assert topics.authorise == "tapgate/home/left-garage/authorise"
    assert topics.object("00ff") == "tapgate/home/object/00ff"


def test_an_object_topic_gives_its_digest_and_no_other_topic_does():
    topics = Topics("home", "c1")
    assert topics.digest("tapgate/home/object/00ff") == "00ff"
    assert topics.digest("tapgate/home/object/") == ""
    assert topics.digest("tapgate/other/object/00ff") is None
    assert topics.digest(topics.allowlist) is None
