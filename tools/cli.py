def main() -> None:
    raise SystemExit("tapgate: being built")
