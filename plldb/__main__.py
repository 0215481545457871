from plldb.cli.main import main

main()
